//! Images of the benchmark.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::bench::arguments::Data;
use super::bench::fruits::draw;
use super::bench::serve::files;

#[test]
fn the_same_numbers_give_the_same_files() {
    let files = draw(300, (40, 30), 7).unwrap();
    assert_eq!(files, draw(300, (40, 30), 7).unwrap());
    assert_ne!(files, draw(300, (40, 30), 8).unwrap());
    let keys: BTreeSet<_> = files.iter().map(|(key, _)| key).collect();
    let contents: BTreeSet<_> = files.iter().map(|(_, content)| content).collect();
    assert_eq!((keys.len(), contents.len()), (300, 300));
    let labels: BTreeSet<_> = keys.iter().map(|key| key.split('/').nth(1)).collect();
    assert_eq!(labels.len(), 131);
    for (key, content) in &files {
        let image = image::load_from_memory(content).unwrap();
        assert_eq!((image.width(), image.height()), (40, 30), "{key}");
    }
}

#[test]
fn one_image_and_none() {
    assert_eq!(draw(1, (1, 1), 0).unwrap().len(), 1);
    assert!(draw(0, (100, 100), 0).unwrap().is_empty());
}

#[test]
fn a_folder_is_served_as_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Training/Apple Red/0_100.jpg");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, b"jpeg").unwrap();
    fs::write(folder.path().join("notes.txt"), b"no image").unwrap();
    let files = files(&Data::Folder(folder.path().to_owned())).unwrap();
    let expected = ("Training/Apple Red/0_100.jpg".to_owned(), b"jpeg".to_vec());
    assert_eq!(files, [expected]);
}

#[test]
fn a_folder_without_images_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let of = |path: &Path| {
        files(&Data::Folder(path.to_owned()))
            .unwrap_err()
            .to_string()
    };
    let error = of(folder.path());
    assert!(
        error.starts_with("--folder: no .jpg file below '"),
        "{error}"
    );
    let error = of(&folder.path().join("nowhere"));
    assert!(error.starts_with("--folder: could not read '"), "{error}");
    assert!(error.contains("nowhere"), "{error}");
}
