//! The names of files and directories: those that are durable, what changed since, and what processes see.

use std::collections::BTreeMap;

use aggregate::disk::directory_of;

use super::faults::Choices;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Directory,
    File(u64),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    durable: BTreeMap<String, Node>,
    /// Changes that no sync has covered, in order.
    unsynced: Vec<Change>,
    seen: BTreeMap<String, Node>,
}

/// A change that a journal keeps as a whole.
#[derive(Clone, Debug)]
enum Change {
    Add { name: String, node: Node },
    Move { from: String, to: String, node: Node },
    Remove { name: String, node: Node },
}

impl Change {
    fn names(&self) -> [&str; 2] {
        match self {
            Self::Add { name, .. } | Self::Remove { name, .. } => [name, name],
            Self::Move { from, to, .. } => [from, to],
        }
    }

    const fn node(&self) -> Node {
        match self {
            Self::Add { node, .. } | Self::Move { node, .. } | Self::Remove { node, .. } => *node,
        }
    }

    /// Does a journal never keep this one without the earlier one?
    fn needs(&self, earlier: &Self) -> bool {
        let is_same_file = self.node() == earlier.node() && self.node() != Node::Directory;
        is_same_file || self.names().iter().any(|name| earlier.names().contains(name))
    }

    fn apply(&self, names: &mut BTreeMap<String, Node>) {
        match self {
            Self::Add { name, node } => {
                names.insert(name.clone(), *node);
            }
            Self::Move { from, to, node } => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
            Self::Remove { name, .. } => {
                names.remove(name);
            }
        }
    }
}

impl Names {
    pub(crate) fn get(&self, name: &str) -> Option<Node> {
        if name.is_empty() { Some(Node::Directory) } else { self.seen.get(name).copied() }
    }

    /// The files, with their names.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.seen.iter().filter_map(|(name, node)| match node {
            Node::File(file) => Some((name.as_str(), *file)),
            Node::Directory => None,
        })
    }

    /// What is in a directory.
    pub(crate) fn list(&self, directory: &str) -> Vec<String> {
        let inside = self.seen.keys().filter(|name| directory_of(name) == directory);
        inside.map(|name| name.rsplit_once('/').map_or(name.as_str(), |(_, last)| last).to_owned()).collect()
    }

    pub(crate) fn add(&mut self, name: &str, node: Node) {
        self.change(Change::Add { name: name.to_owned(), node });
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str, node: Node) {
        self.change(Change::Move { from: from.to_owned(), to: to.to_owned(), node });
    }

    pub(crate) fn remove(&mut self, name: &str, node: Node) {
        self.change(Change::Remove { name: name.to_owned(), node });
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.unsynced.push(change);
    }

    /// Makes the changes of a directory durable, and those that they need.
    pub(crate) fn sync(&mut self, directory: &str) {
        let of_directory =
            |change: &Change| change.names().iter().any(|name| directory_of(name) == directory);
        let mut is_kept: Vec<bool> = self.unsynced.iter().map(of_directory).collect();
        for later in (0..is_kept.len()).rev() {
            for earlier in 0..later {
                is_kept[earlier] |= is_kept[later] && self.unsynced[later].needs(&self.unsynced[earlier]);
            }
        }
        let mut at = 0;
        let durable = &mut self.durable;
        self.unsynced.retain(|change| {
            if is_kept[at] {
                change.apply(durable);
            }
            at += 1;
            !is_kept[at - 1]
        });
    }

    /// The sync of a directory fails: none of its changes will be durable.
    pub(crate) fn fail_sync(&mut self, directory: &str) {
        self.unsynced.retain(|change| change.names().iter().all(|name| directory_of(name) != directory));
    }

    /// The power is gone.
    pub(crate) fn lose_power(&mut self, choices: &mut Choices) {
        let count = self.unsynced.len();
        let is_kept = match choices.some_of_many() {
            None => vec![choices.everything(); count],
            Some(random) => {
                // One journal is written in order; with several, what needs no other change may overtake it.
                let is_ordered = random.once_in(2);
                let kept = random.below(count + 1);
                let mut is_kept: Vec<bool> = Vec::new();
                for (at, change) in self.unsynced.iter().enumerate() {
                    let has_all =
                        (0..at).all(|before| is_kept[before] || !change.needs(&self.unsynced[before]));
                    is_kept.push(if is_ordered { at < kept } else { has_all && random.once_in(2) });
                }
                is_kept
            }
        };
        for (change, _) in self.unsynced.iter().zip(is_kept).filter(|(_, is_kept)| *is_kept) {
            change.apply(&mut self.durable);
        }
        self.unsynced.clear();
        let directories: Vec<String> = self.directories();
        self.durable
            .retain(|name, _| above(name).all(|above| directories.iter().any(|known| known == above)));
        self.seen.clone_from(&self.durable);
    }

    fn directories(&self) -> Vec<String> {
        let is_directory = |(_, node): &(&String, &Node)| **node == Node::Directory;
        self.durable.iter().filter(is_directory).map(|(name, _)| name.clone()).collect()
    }
}

/// The directories a name is in, the innermost first; not the root.
pub(crate) fn above(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(directory_of(name)), |name| Some(directory_of(name)))
        .take_while(|directory| !directory.is_empty())
}
