//! The session log on disk: one writer's side of it.

mod disk;
mod options;
mod segments;
mod writer;

#[cfg(test)]
mod tests;

pub use options::{Durability, LogError, Options};
pub use writer::SessionLog;
