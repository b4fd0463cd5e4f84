//! What the listing of one folder brings, without what is no row.

use std::collections::HashSet;

use object_store::path::Path;
use object_store::{ListResult, ObjectMeta};

/// What lies in a folder.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) objects: Vec<ObjectMeta>,
    pub(super) folders: Vec<Path>,
}

impl From<ListResult> for Page {
    fn from(level: ListResult) -> Self {
        Self {
            objects: level.objects,
            folders: level.common_prefixes,
        }
    }
}

impl Page {
    /// Takes out what stands for a folder: its own marker, those of the folders in it (an empty object
    /// of the name that other objects' names go on from), and Hadoop's `_$folder$`. Markers whose keys
    /// end in `/` are not even listed by the stores that are made here.
    pub(super) fn drop_markers(&mut self, folder: &Path) {
        self.objects.retain(|object| object.location != *folder);
        if self.objects.iter().all(|object| object.size > 0) {
            return;
        }
        let mut folders: HashSet<String> = self
            .folders
            .iter()
            .map(|path| path.as_ref().to_owned())
            .collect();
        for object in &self.objects {
            let mut path = object.location.as_ref();
            while let Some((parent, _)) = path.rsplit_once('/') {
                if folders.contains(parent) {
                    break;
                }
                folders.insert(parent.to_owned());
                path = parent;
            }
        }
        self.objects.retain(|object| {
            let path = object.location.as_ref();
            object.size > 0 || !(path.ends_with("_$folder$") || folders.contains(path))
        });
    }

    /// Takes out folders that do not lie in `folder`, because to `object_store` the folder `/` of a
    /// bucket is the bucket again, and there would be no end; and content under the folder's own name.
    pub(super) fn drop_strangers(&mut self, folder: &Path) -> Vec<String> {
        let depth = folder.parts_count() + 1;
        let lies_in = |path: &Path| path.prefix_matches(folder) && path.parts_count() == depth;
        let folders = self.folders.extract_if(.., |path| !lies_in(path));
        let objects = self
            .objects
            .extract_if(.., |object| object.location == *folder && object.size > 0);
        let objects = objects.map(|object| object.location);
        folders
            .chain(objects)
            .map(|path| format!("{path}/"))
            .collect()
    }
}
