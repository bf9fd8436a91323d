//! An object's bytes: by ranged GETs ahead of who reads, of one version of the object, and unpacked.
