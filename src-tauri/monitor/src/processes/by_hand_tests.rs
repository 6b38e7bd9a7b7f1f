//! The parser against made-up lines, and the reader against a made-up `/proc`.

use proptest::prelude::*;

use super::*;

/// A line with its fields' numbers as values, where they do not matter.
fn line(pid: u32, name: &str, state: char, parent: u32) -> String {
    format!(
        "{pid} ({name}) {state} {parent} 5 6 7 8 9 10 11 12 13 140 15 16 17 18 19 20 21 4711 23 24 25 26\n"
    )
}

#[test]
fn a_line_is_read_whatever_the_program_is_called() {
    for name in ["sh", "a b) c", "((", ")", "Web Content", "\u{1b}[31m"] {
        let row = parse(line(7, name, 'S', 6).as_bytes(), 10).unwrap();
        assert_eq!((row.parent, row.started), (Some(6), 4_711), "{name}");
        assert_eq!((row.cpu_ms, row.children_ms), (1_550, 330));
        assert_eq!((row.threads, row.memory_bytes), (20, 24));
        assert!(!row.held && !row.ended);
    }
    assert!(parse(line(7, "sh", 'T', 6).as_bytes(), 10).unwrap().held);
    assert!(parse(line(7, "sh", 'Z', 6).as_bytes(), 10).unwrap().ended);
    assert_eq!(parse(line(1, "init", 'S', 0).as_bytes(), 10).unwrap().parent, None);
    for bad in ["", ")", "7 (sh)", "7 (sh) S", "7 (sh) S 1 2 3", "7 (sh) S x 5 6", "(((((("] {
        assert_eq!(parse(bad.as_bytes(), 10), None, "{bad}");
    }
}

#[test]
fn traffic_is_read_where_it_is_told() {
    let text = b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n";
    assert_eq!(traffic(text), (Some(5), Some(6)));
    assert_eq!(traffic(b""), (None, None));
    assert_eq!(traffic(b"read_bytes: -1\nwrite_bytes: "), (None, None));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes, 10);
        let _ = traffic(&bytes);
        let _ = number(&bytes);
    }

    #[test]
    fn every_whole_line_gives_its_figures(
        parent in 1..u32::MAX, own in 0..u64::MAX / 4, started in any::<u64>(), pages in any::<u64>(),
        name in ".{0,20}",
    ) {
        let text = format!(
            "7 ({name}) R {parent} 5 6 7 8 9 10 11 12 13 {own} 0 1 2 18 19 20 21 {started} 23 {pages} 25\n"
        );
        let row = parse(text.as_bytes(), 1).unwrap();
        prop_assert_eq!(row.parent, Some(parent));
        prop_assert_eq!((row.cpu_ms, row.started, row.memory_bytes), (own, started, pages));
    }
}

/// A directory that looks like `/proc`.
struct Proc(tempfile::TempDir);

impl Proc {
    fn with(links: &[(u32, u32)]) -> Self {
        let proc = Self(tempfile::tempdir().unwrap());
        std::fs::write(proc.0.path().join("meminfo"), "").unwrap();
        for (pid, parent) in links {
            proc.put(*pid, *parent);
        }
        proc
    }

    fn put(&self, pid: u32, parent: u32) {
        let of = self.0.path().join(pid.to_string());
        std::fs::create_dir_all(&of).unwrap();
        std::fs::write(of.join("stat"), line(pid, "x", 'S', parent)).unwrap();
    }

    fn take(&self, pid: u32) {
        std::fs::remove_dir_all(self.0.path().join(pid.to_string())).unwrap();
    }

    fn reader(&self) -> Reader {
        Reader::open(self.0.path()).unwrap()
    }
}

fn pids(table: &Table, root: u32) -> Vec<u32> {
    let mut pids: Vec<_> = table.tree(root).iter().map(|row| row.pid).collect();
    pids.sort_unstable();
    pids
}

/// How often lines were read: what was read at the last scan.
fn read_now(reader: &Reader) -> Vec<u32> {
    let now = reader.scans;
    let mut pids: Vec<_> =
        reader.known.iter().filter(|(_, it)| it.read == now).map(|(pid, _)| *pid).collect();
    pids.sort_unstable();
    pids
}

#[test]
fn only_what_belongs_to_a_watched_tree_is_read_again() {
    let proc = Proc::with(&[(1, 0), (10, 1), (11, 10), (20, 1), (21, 20)]);
    let mut reader = proc.reader();
    let table = reader.scan(&[10], &[20]).unwrap();
    assert_eq!(pids(&table, 10), [10, 11]);
    assert!(table.row(20).is_some() && table.row(21).is_none());
    reader.scan(&[10], &[]).unwrap();
    assert_eq!(read_now(&reader), [10, 11]);
    // A new process is looked at once, whosever it is.
    proc.put(12, 11);
    proc.put(22, 21);
    assert_eq!(pids(&reader.scan(&[10], &[]).unwrap(), 10), [10, 11, 12]);
    assert_eq!(read_now(&reader), [10, 11, 12, 22]);
    proc.take(11);
    proc.put(12, 10);
    assert_eq!(pids(&reader.scan(&[10], &[]).unwrap(), 10), [10, 12]);
    assert_eq!(read_now(&reader), [10, 12]);
}

#[test]
fn a_tree_that_was_there_before_it_is_watched_is_found_whole() {
    let proc = Proc::with(&[(1, 0), (10, 1), (11, 10), (20, 1), (21, 20), (22, 21)]);
    let mut reader = proc.reader();
    reader.scan(&[10], &[]).unwrap();
    reader.scan(&[10], &[]).unwrap();
    // Its parent has ended meanwhile, so that it belongs to another now.
    proc.take(21);
    proc.put(22, 20);
    let table = reader.scan(&[10, 20], &[]).unwrap();
    assert_eq!((pids(&table, 10), pids(&table, 20)), (vec![10, 11], vec![20, 22]));
    assert!(reader.scan(&[], &[10]).unwrap().row(10).is_some());
    assert!(reader.known.is_empty(), "nothing is remembered where nothing is watched");
}

#[test]
fn a_number_that_another_process_was_given_is_noticed_in_the_end() {
    let proc = Proc::with(&[(1, 0), (10, 1), (20, 1)]);
    let mut reader = proc.reader();
    reader.scan(&[10], &[]).unwrap();
    proc.put(20, 10);
    let found = (0..=WHOLE_EVERY).any(|_| pids(&reader.scan(&[10], &[]).unwrap(), 10) == [10, 20]);
    assert!(found);
}

#[test]
fn links_that_go_in_circles_end() {
    let proc = Proc::with(&[(10, 12), (11, 10), (12, 11), (13, 13)]);
    let mut reader = proc.reader();
    assert_eq!(pids(&reader.scan(&[10], &[]).unwrap(), 10), [10, 11, 12]);
    assert_eq!(pids(&reader.scan(&[99], &[]).unwrap(), 99), [] as [u32; 0]);
}

#[test]
fn a_real_process_is_read_as_the_kernel_tells_it() {
    let mut reader = Reader::open(Path::new("/proc")).unwrap();
    let own = std::process::id();
    let (_kept, before) = (tempfile::tempfile().unwrap(), reader.details(own).open_files.unwrap());
    let _another = tempfile::tempfile().unwrap();
    let after = reader.details(own).open_files.unwrap();
    assert!(after > before, "{before} {after}");
    let row = reader.again(&[own, u32::MAX])[0];
    assert!(row.threads >= 1 && row.memory_bytes > 1 << 20 && row.parent.is_some());
    let table = reader.scan(&[own], &[]).unwrap();
    assert_eq!(table.row(own).map(|it| it.started), Some(row.started));
}
