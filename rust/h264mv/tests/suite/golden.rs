//! Golden digests of the shared streams; skipped unless `MOCLIP_SHARED` names their folder.

use std::path::Path;

use crate::common::{self, files::golden};

#[test]
fn shared_streams_are_exact() {
    let Ok(folder) = std::env::var("MOCLIP_SHARED") else {
        eprintln!("skipped: MOCLIP_SHARED does not name the shared folder");
        return;
    };
    let folder = Path::new(&folder).join("h264");
    let Ok(entries) = std::fs::read_dir(folder.join("streams")) else {
        eprintln!("skipped: no streams in {}", folder.display());
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let expected = testkit::csv_rows(&folder.join("golden").join(format!("{name}.csv")));
        let data = std::fs::read(entry.path()).expect("stream");
        let pictures = common::parse(&data, 2);
        assert_eq!(pictures.len(), expected.len(), "{name}");
        for (picture, row) in pictures.iter().zip(&expected) {
            let context = format!("{name} picture {}", picture.info.decode_index);
            assert_eq!(picture.damage, None, "{context}");
            assert_eq!(golden::row(picture), *row, "{context}");
        }
    }
}
