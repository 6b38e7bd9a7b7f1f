//! Scanning a directory.

use engine::view::ScanRequest;
use model::refusal::Code;

use crate::hive::Hive;
use crate::picture;

#[tokio::test]
async fn duplicates_and_oversize_files_are_listed_with_file_and_line_and_nothing_is_edited() {
    let hive = Hive::open().await;
    let repository = hive.repository("work");
    let block: String = (0..12).map(|n| format!("the same line {n}\n")).collect();
    std::fs::write(repository.join("one.txt"), format!("first\n{block}")).unwrap();
    std::fs::write(repository.join("two.txt"), format!("a\nb\n{block}")).unwrap();
    let long: String = (0..601).map(|n| format!("own line {n}\n")).collect();
    std::fs::write(repository.join("long.txt"), long).unwrap();
    let before = picture(&repository);
    let scan = |path: String| hive.engine.scan(ScanRequest { path, ..ScanRequest::default() });
    let report = scan(repository.display().to_string()).await.unwrap();
    let oversize: Vec<_> = report.oversize.iter().map(|it| (it.path.as_str(), it.lines)).collect();
    assert_eq!(oversize, [("long.txt", 601)]);
    assert_eq!(report.duplicates.len(), 1);
    let places: Vec<_> =
        report.duplicates[0].places.iter().map(|it| (it.path.as_str(), it.line)).collect();
    assert_eq!(places, [("one.txt", 2), ("two.txt", 3)]);
    assert_eq!(report.truncated, None);
    assert_eq!(picture(&repository), before);
    assert_eq!(scan("work".into()).await.unwrap_err().code, Code::InvalidInput);
    assert_eq!(scan("/nowhere/at/all".into()).await.unwrap_err().code, Code::NotFound);
    let file = repository.join("one.txt").display().to_string();
    assert_eq!(scan(file).await.unwrap_err().code, Code::InvalidInput);
}
