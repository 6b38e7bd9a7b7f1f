//! The files of an agent: where reports come in, and where they go.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use model::id::{AgentId, MessageId};
use uuid::Uuid;

/// The most names that are looked at in one directory.
const NAMES_MAX: usize = 10_000;
/// The most reports that are kept in an archive, and messages that lie for an agent; the oldest go
/// first. They are in the ledger.
const KEPT_MAX: usize = 1_000;
/// How many more than that there may be before the oldest go.
const KEPT_SLACK: usize = 200;

/// Makes a directory, and those above it, that only its owner can look into.
pub(crate) fn make_private(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// When the inbox of each agent has last changed.
pub(super) fn inboxes(root: &Path) -> HashMap<AgentId, SystemTime> {
    let mut found = HashMap::new();
    for entry in fs::read_dir(root.join("agents")).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<AgentId>().ok()) else {
            continue;
        };
        let inbox = entry.path().join("inbox");
        if let Ok(changed) = fs::symlink_metadata(&inbox).and_then(|it| it.modified()) {
            found.insert(id, changed);
        }
    }
    found
}

/// The directories of one agent.
#[derive(Debug, Clone)]
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn of(root: &Path, id: AgentId) -> Self {
        Self(root.join("agents").join(id.to_string()))
    }

    /// Where reports come in.
    pub(super) fn inbox(&self) -> PathBuf {
        self.0.join("inbox")
    }

    fn archive(&self) -> PathBuf {
        self.0.join("archive")
    }

    fn quarantine(&self) -> PathBuf {
        self.0.join("quarantine")
    }

    pub(super) fn make(&self) -> io::Result<()> {
        for folder in [self.inbox(), self.archive(), self.quarantine(), self.0.join("messages")] {
            make_private(&folder)?;
        }
        Ok(())
    }

    /// Puts a report away that was taken; one that is gone already is away.
    pub(super) fn put_away(&self, path: &Path) -> Result<(), agents::reports::InboxError> {
        let archive = self.archive();
        agents::reports::archive(path, &archive)?;
        thin_out(&archive);
        Ok(())
    }

    fn in_quarantine(&self, id: MessageId) -> PathBuf {
        self.quarantine().join(format!("{id}.json"))
    }

    /// The reports in quarantine, by the messages that stand for them.
    pub(super) fn quarantined(&self) -> Vec<MessageId> {
        let entries = fs::read_dir(self.quarantine()).into_iter().flatten().flatten();
        let id = |name: std::ffi::OsString| name.to_str()?.strip_suffix(".json")?.parse().ok();
        entries.take(NAMES_MAX).filter_map(|entry| id(entry.file_name())).collect()
    }

    /// Puts a report into quarantine, under the name of the message that stands for it.
    pub(super) fn hold(&self, path: &Path, id: MessageId) -> io::Result<()> {
        make_private(&self.quarantine())?;
        fs::rename(path, self.in_quarantine(id))
    }

    /// Puts what is in quarantine into the inbox.
    pub(super) fn give_back(&self, id: MessageId, name: &str) -> io::Result<()> {
        fs::rename(self.in_quarantine(id), self.inbox().join(name))
    }

    /// Puts what is in quarantine away for good.
    pub(super) fn give_up(&self, id: MessageId) -> io::Result<()> {
        fs::remove_file(self.in_quarantine(id))
    }

    /// Writes something for the agent to read; whole or not at all.
    pub(super) fn write(&self, id: Uuid, text: &[u8]) -> io::Result<()> {
        let folder = self.0.join("messages");
        make_private(&folder)?;
        let draft = folder.join(format!(".{id}.new"));
        // One that a crash left is written anew.
        match fs::remove_file(&draft) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&draft, folder.join(format!("{id}.json")))?;
        thin_out(&folder);
        Ok(())
    }
}

/// Removes the oldest files of a directory that holds too many.
fn thin_out(directory: &Path) {
    let entries = || fs::read_dir(directory).into_iter().flatten().flatten();
    // Only counted as long as there are few: asking each for its time costs more.
    if entries().count() <= KEPT_MAX + KEPT_SLACK {
        return;
    }
    let changed = |entry: &fs::DirEntry| entry.metadata().and_then(|it| it.modified()).ok();
    let mut kept: Vec<(SystemTime, PathBuf)> =
        entries().filter_map(|entry| Some((changed(&entry)?, entry.path()))).collect();
    kept.sort();
    for (_, path) in &kept[..kept.len().saturating_sub(KEPT_MAX)] {
        // What cannot be removed is tried again with the next one.
        let _ = fs::remove_file(path);
    }
}

/// How many files there are that may be reports, now or later.
pub(super) fn count(inbox: &Path) -> usize {
    let entries = fs::read_dir(inbox).into_iter().flatten().flatten().take(NAMES_MAX);
    let is_file = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
    entries.filter(is_file).count()
}

/// When something happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dates {
    /// When its content was written.
    pub(super) written: Timestamp,
    /// When it came to be where it is, under its name.
    pub(super) placed: Timestamp,
}

impl Dates {
    /// Those of a file; nothing where it is gone.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let about = fs::symlink_metadata(path).ok()?;
        let at = |s: i64, ns: i64| {
            let ns = i32::try_from(ns).unwrap_or(0);
            Timestamp::new(s, ns).unwrap_or(Timestamp::UNIX_EPOCH)
        };
        Some(Self {
            written: at(about.mtime(), about.mtime_nsec()),
            placed: at(about.ctime(), about.ctime_nsec()),
        })
    }
}

/// The beginning of a file for people; nothing where it cannot be read. No link is followed.
pub(super) fn beginning(path: &Path, max: usize) -> String {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let open = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let mut bytes = Vec::new();
    let read = open.and_then(|file| file.take(max as u64).read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}"),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use model::id::SystemDraw;

    use super::*;

    fn place() -> (tempfile::TempDir, Place) {
        let root = tempfile::tempdir().unwrap();
        let id = AgentId::draw(Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let place = Place::of(root.path(), id);
        place.make().unwrap();
        (root, place)
    }

    #[test]
    fn an_archive_does_not_grow_for_ever_and_keeps_the_newest() {
        let (root, place) = place();
        let path = place.inbox().join("z.json");
        for n in 0..KEPT_MAX + KEPT_SLACK {
            fs::write(place.archive().join(format!("old-{n}")), "").unwrap();
        }
        fs::write(&path, "{}").unwrap();
        place.put_away(&path).unwrap();
        assert_eq!(fs::read_dir(place.archive()).unwrap().count(), KEPT_MAX);
        assert!(place.archive().join("z.json").exists());
        place.put_away(&path).unwrap();
        assert_eq!(inboxes(root.path()).len(), 1);
    }

    #[test]
    fn moving_a_file_changes_when_it_was_placed_and_not_when_it_was_written() {
        let (_root, place) = place();
        let (one, other) = (place.inbox().join("a.json"), place.archive().join("a.json"));
        fs::write(&one, "{}").unwrap();
        let before = Dates::of(&one).unwrap();
        let begun = std::time::Instant::now();
        loop {
            fs::rename(&one, &other).unwrap();
            let after = Dates::of(&other).unwrap();
            assert_eq!(after.written, before.written);
            if after.placed > before.placed {
                break;
            }
            assert!(begun.elapsed().as_secs() < 20, "the clock of the file system stands still");
            fs::rename(&other, &one).unwrap();
        }
        assert_eq!(Dates::of(&one), None);
    }

    #[test]
    fn what_is_in_quarantine_is_known_by_its_message_and_comes_back_or_goes() {
        let (_root, place) = place();
        let id = MessageId::draw(Timestamp::UNIX_EPOCH, &mut SystemDraw);
        fs::write(place.inbox().join("a.json"), "{").unwrap();
        place.hold(&place.inbox().join("a.json"), id).unwrap();
        assert_eq!(place.quarantined(), [id]);
        place.give_back(id, "again.json").unwrap();
        assert_eq!(beginning(&place.inbox().join("again.json"), 9), "{");
        place.hold(&place.inbox().join("again.json"), id).unwrap();
        place.give_up(id).unwrap();
        assert_eq!(place.quarantined(), []);
    }

    #[test]
    fn no_link_is_followed_for_what_people_are_shown() {
        let (_root, place) = place();
        let path = place.inbox().join("a.json");
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert_eq!(beginning(&path, 100), "");
    }

    #[test]
    fn a_message_is_there_whole_and_for_nobody_else() {
        let (_root, place) = place();
        let id = Uuid::nil();
        for text in [b"one", b"two"] {
            place.write(id, text).unwrap();
        }
        let path = place.0.join("messages").join(format!("{id}.json"));
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mode = fs::metadata(place.inbox()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
