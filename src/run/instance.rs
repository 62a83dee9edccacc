//! What this instance is called, and that no other one is called the same.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::commands::CommandError;

/// An instance's name, held for as long as this lives.
pub struct Instance {
    /// The name, in transactions and logs.
    pub id: String,
    /// Locked until the process ends.
    _lock: File,
}

/// Takes the name of an instance: the configured one, else a random one that is kept in the state folder.
///
/// # Errors
///
/// [`CommandError::Usage`] where another process runs under the same name.
pub fn take(configured: Option<&str>, state: &Path) -> Result<Instance, CommandError> {
    std::fs::create_dir_all(state).map_err(|error| CommandError::file("create", state, &error))?;
    let path = state.join("instance");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| CommandError::file("open", &path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(CommandError::Usage(format!(
                "another instance runs from {}: give this one another `instance.state` folder",
                state.display()
            )));
        }
        Err(TryLockError::Error(error)) => return Err(CommandError::file("lock", &path, &error)),
    }
    let mut kept = String::new();
    file.read_to_string(&mut kept).map_err(|error| CommandError::file("read", &path, &error))?;
    let id = match configured {
        Some(id) => id.to_owned(),
        None if kept.trim().is_empty() => uuid::Uuid::new_v4().simple().to_string(),
        None => kept.trim().to_owned(),
    };
    if kept.trim() != id {
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(id.as_bytes())?;
            file.sync_all()
        };
        write(&mut file).map_err(|error| CommandError::file("write", &path, &error))?;
    }
    Ok(Instance { id, _lock: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_and_taken_once() {
        let state = tempfile::tempdir().unwrap();
        let first = take(None, state.path()).unwrap();
        let error = take(None, state.path()).err().unwrap();
        assert_eq!(error.status(), 2);
        let id = first.id.clone();
        drop(first);
        assert_eq!(take(None, state.path()).unwrap().id, id);
        assert_eq!(take(Some("blue"), state.path()).unwrap().id, "blue");
    }
}
