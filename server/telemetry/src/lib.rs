//! Metrics and logs that are read back: series, alarms, streams, over SQLite.
