//! Where a path really leads: dots and links are followed, and a worktree ends at its edge.

use std::path::{Component, Path, PathBuf};

/// The most parts of a path.
const PARTS_MAX: usize = 256;
/// Names of files, and of directories, that hold credentials.
const SECRET_NAMES: &[&str] = &[
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".netrc",
    ".pgpass",
    ".git-credentials",
    ".npmrc",
    ".pypirc",
    ".credentials.json",
    "auth.json",
    "credentials",
    "credentials.json",
    "id_rsa",
    "id_ed25519",
    "id_ecdsa",
    "shadow",
    "gcloud",
    "hosts.yml",
    ".vault-token",
    "keyrings",
    ".docker",
    ".password-store",
    ".my.cnf",
    "credentials.toml",
    "environ",
    "id_dsa",
    "id_ecdsa_sk",
    "id_ed25519_sk",
    ".htpasswd",
    ".envrc",
    ".bash_history",
    ".zsh_history",
    "fish_history",
    "rclone.conf",
    ".s3cfg",
    ".boto",
    "kubeconfig",
    // Of agents: what they sign in with.
    "oauth_creds.json",
    "mcp-oauth-tokens.json",
    "secrets.yaml",
    "secrets.yml",
    // Our own: whoever reads it speaks for the captain.
    "endpoint.json",
];
/// Ends of the names of files that hold keys.
const SECRET_ENDS: &[&str] =
    &[".pem", ".key", ".p12", ".pfx", ".kdbx", ".jks", ".keystore", ".ppk"];

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Into the worktree: its path from there.
    Inside(PathBuf),
    /// Into git's own files.
    Git,
    /// Elsewhere.
    Outside(PathBuf),
    /// Nobody knows.
    Unknown,
}

/// Where a program works, and what its paths are read from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    /// The worktree of its attempt.
    pub(super) worktree: &'a Path,
    /// Where it is started, where that was said.
    pub(super) directory: Option<&'a str>,
    /// Whether it has gone elsewhere since.
    pub(super) moved: bool,
}

impl Ground<'_> {
    /// Where `path` leads.
    pub(super) fn resolve(self, path: &str) -> Place {
        let whole = path.starts_with(['/', '~']) || path.starts_with("file://") || path.is_empty();
        match self.directory {
            _ if whole => resolve(self.worktree, path),
            _ if self.moved => Place::Unknown,
            Some(directory) => match self.home() {
                Place::Unknown => Place::Unknown,
                _ => resolve(self.worktree, &format!("{directory}/{path}")),
            },
            None => resolve(self.worktree, path),
        }
    }

    /// Where it is started.
    pub(super) fn home(self) -> Place {
        match self.directory {
            Some(directory) => resolve(self.worktree, directory),
            None => Place::Inside(PathBuf::new()),
        }
    }
}

/// Where `path` leads for a program that was started in `worktree`.
pub(super) fn resolve(worktree: &Path, path: &str) -> Place {
    if path.is_empty() || path.contains('\0') {
        return Place::Unknown;
    }
    if path.starts_with('~') {
        return Place::Outside(PathBuf::from(path));
    }
    let path = match path.strip_prefix("file://") {
        // What stands for another character there is read by the agent, not here.
        Some(path) if path.contains('%') => return Place::Unknown,
        Some(path) => path,
        None => path,
    };
    let root = worktree.canonicalize().unwrap_or_else(|_| worktree.to_owned());
    // A program may name the worktree by another way to it.
    let path = Path::new(path);
    let mut at = if path.is_absolute() { PathBuf::from("/") } else { root.clone() };
    let mut there = true;
    for (count, part) in path.components().enumerate() {
        if count > PARTS_MAX {
            return Place::Unknown;
        }
        match part {
            Component::RootDir | Component::Prefix(_) | Component::CurDir => {}
            // What is above something that is not there yet depends on what it will be.
            Component::ParentDir if !there => return Place::Unknown,
            Component::ParentDir => {
                at.pop();
            }
            Component::Normal(name) => {
                at.push(name);
                match std::fs::symlink_metadata(&at) {
                    Ok(found) if found.is_symlink() => match at.canonicalize() {
                        Ok(real) => at = real,
                        Err(_) => return Place::Unknown,
                    },
                    Ok(_) => {}
                    Err(_) => there = false,
                }
            }
        }
    }
    match at.strip_prefix(&root) {
        Ok(inside) if inside.components().any(is_git) => Place::Git,
        Ok(inside) => Place::Inside(inside.to_owned()),
        Err(_) => Place::Outside(at),
    }
}

fn is_git(part: Component<'_>) -> bool {
    part.as_os_str().eq_ignore_ascii_case(".git")
}

/// Whether a path is one of a file that holds credentials.
pub(super) fn is_secret(path: &str) -> bool {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let last = path.rsplit('/').next().unwrap_or_default();
    let example = [".example", ".sample", ".template", ".dist", ".test"];
    let dot_env = (last == ".env" || last.starts_with(".env."))
        && !example.iter().any(|end| last.ends_with(end));
    let key = last.len() > 4 && SECRET_ENDS.iter().any(|end| last.ends_with(end));
    dot_env || key || parts.any(|part| SECRET_NAMES.contains(&part))
}

/// Whether a word names a file with credentials, be it behind a colon, as git writes it, or behind
/// the name of an option.
pub(super) fn names_secret(word: &str) -> bool {
    is_secret(word) || word.split([':', '=', ',']).any(is_secret)
}

/// Whether a word may lead out of the directory a program works in.
pub(super) fn leads_out(word: &str) -> bool {
    word.starts_with(['/', '~']) || word.split('/').any(|part| part == "..")
}

/// Whether everything that a shell makes of a word with `*`, `?` or a leading `~` is a file that is
/// surely none with credentials, and never an option.
pub(super) fn stays_plain(word: &str) -> bool {
    let rest = word.strip_prefix("~/").unwrap_or(word);
    let known = !rest.contains(['$', '`', '{', '}', '[', ']', '(', ')']);
    let named = word != rest || !rest.starts_with(['-', '*', '?', '~', '+', '@']);
    known && named && rest.split('/').filter(|part| part.contains(['*', '?'])).all(part_stays_plain)
}

fn part_stays_plain(part: &str) -> bool {
    let tail = part.rsplit(['*', '?']).next().unwrap_or_default();
    // What begins with a dot is hidden, and much of it is secret.
    let unsure = part.starts_with('.') || tail.is_empty() || part.matches(['*', '?']).count() > 4;
    let keys = || SECRET_ENDS.iter().any(|end| tail.ends_with(end) || end.ends_with(tail));
    let names = || SECRET_NAMES.iter().any(|name| is_like(part.as_bytes(), name.as_bytes()));
    !unsure && !keys() && !names()
}

fn is_like(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), None) => is_like(rest, name),
        (Some((b'*', rest)), Some((_, behind))) => is_like(rest, name) || is_like(pattern, behind),
        (Some((wanted, rest)), Some((found, behind))) => {
            (*wanted == b'?' || wanted == found) && is_like(rest, behind)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_where_dots_and_links_lead() {
        let place = tempfile::tempdir().unwrap();
        let work = place.path().join("work");
        std::fs::create_dir_all(work.join("src")).unwrap();
        std::fs::create_dir(place.path().join("other")).unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, work.join(name)).unwrap();
        link("../other", "out");
        link("src", "in");
        link("nowhere", "dangling");
        let inside = |path: &str| Place::Inside(PathBuf::from(path));
        assert_eq!(resolve(&work, "src/a.rs"), inside("src/a.rs"));
        assert_eq!(resolve(&work, "./src/../b"), inside("b"));
        assert_eq!(resolve(&work, "in/a.rs"), inside("src/a.rs"));
        assert_eq!(resolve(&work, &format!("{}/src/a.rs", work.display())), inside("src/a.rs"));
        assert_eq!(resolve(&work, ".git/hooks/x"), Place::Git);
        assert_eq!(resolve(&work, "src/.GIT/config"), Place::Git);
        for out in ["../x", "src/../../x", "out/x", "in/../../x", "/etc/passwd", "~/x", "/"] {
            assert!(matches!(resolve(&work, out), Place::Outside(_)), "{out}");
        }
        for unknown in ["dangling/x", "new/../x", "", "a\0b"] {
            assert_eq!(resolve(&work, unknown), Place::Unknown, "{unknown}");
        }
    }

    #[test]
    fn files_with_credentials_are_known_by_name() {
        for secret in [
            "/home/a/.ssh/id_rsa",
            ".env",
            "a/.env.local",
            "~/.aws/config",
            "/data/endpoint.json",
            "certs/server.key",
            "/proc/1/environ",
            "/home/a/.gemini/oauth_creds.json",
            "~/.qwen/oauth_creds.json",
            "~/.config/goose/secrets.yaml",
            "/home/a/.bash_history",
            ".envrc",
            "~/id_dsa",
            "conf/.htpasswd",
            "~/.config/rclone/rclone.conf",
        ] {
            assert!(is_secret(secret), "{secret}");
        }
        for plain in
            [".env.example", "src/env.rs", "environment", "src/credentials.rs", "src/key.rs"]
        {
            assert!(!is_secret(plain), "{plain}");
        }
    }
}
