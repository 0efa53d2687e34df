//! The permission to stop the agent without an alarm: whoever stops it leaves the secret of an
//! enrolment token behind, the agent says it with its goodbye, and the server knows whether it is
//! one. The agent itself cannot tell, and neither can somebody who reads its files.

use std::path::Path;

use data_encoding::HEXLOWER;
use model::enrol::EnrolToken;

use crate::state::{self, StateError};

/// Of its own, so that everybody can leave something there while all else is protected.
pub(crate) const FOLDER: &str = "permit";
const FILE: &str = "token";
const BYTES_MAX: usize = 64;

/// To be written right before the agent is stopped.
pub(super) fn write(state: &Path, token: &EnrolToken) -> Result<(), StateError> {
    let folder = state.join(FOLDER);
    state::make_folder(&folder)?;
    state::write(&folder.join(FILE), HEXLOWER.encode(&token.secret).as_bytes())
}

/// What was left by an earlier stop permits nothing; what is left from now on does.
pub(crate) fn clear(state: &Path) {
    let folder = state.join(FOLDER);
    let _ = std::fs::remove_file(folder.join(FILE));
    // Where it was a file once.
    let _ = std::fs::remove_file(&folder);
    let _ = state::make_folder(&folder);
}

/// Why the agent says goodbye.
pub(crate) fn reason(state: &Path) -> String {
    let secret = state::read(&state.join(FOLDER).join(FILE), BYTES_MAX)
        .and_then(|it| String::from_utf8(it).ok());
    secret.map_or_else(|| "stopping".to_owned(), |it| format!("token {it}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn said_only_when_it_was_just_given() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(reason(dir.path()), "stopping");
        let token =
            EnrolToken { secret: [0xab; 16], ca_pin: [0; 32], endpoints: vec!["a:1".to_owned()] };
        write(dir.path(), &token).unwrap();
        assert_eq!(reason(dir.path()), format!("token {}", "ab".repeat(16)));
        clear(dir.path());
        assert_eq!(reason(dir.path()), "stopping");
    }
}
