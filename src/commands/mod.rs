//! What the binary can do: one file per command.
