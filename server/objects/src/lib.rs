//! The embedded S3: buckets and objects over a directory.
