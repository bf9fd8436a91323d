//! An output object: a single PUT when it is small, else an upload in parts; visible only when it is whole.
