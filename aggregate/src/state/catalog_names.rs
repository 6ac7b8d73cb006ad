//! What a charge refers to in a catalog, by name: numbered in order of appearance, and named where a number
//! appears first.

use std::io;

use hashbrown::HashMap;
use rating::catalog::Catalog;
use schemas::id::AccountId;

use super::bytes::{ByteReader, ByteWriter, Damage};

/// Numbers of the positions of one list.
pub(super) struct Numbering {
    /// By position, one more than the number.
    numbers: Vec<u32>,
    count: u32,
    /// The number written last.
    last: u32,
}

impl Numbering {
    pub(super) fn new(positions: usize) -> Self {
        Self { numbers: vec![0; positions], count: 0, last: 0 }
    }

    /// Writes the number of a position, as a difference from the one before; `name` writes the name of a
    /// position that has none yet.
    pub(super) fn write(
        &mut self,
        position: u32,
        writer: &mut ByteWriter<'_>,
        name: impl FnOnce(&mut ByteWriter<'_>),
    ) -> io::Result<()> {
        let place = self.numbers.get_mut(position as usize);
        let place = place.ok_or_else(|| io::Error::other("a position is not in the catalog"))?;
        let is_new = *place == 0;
        if is_new {
            self.count += 1;
            *place = self.count;
        }
        let number = *place - 1;
        writer.signed(i64::from(number) - i64::from(self.last));
        self.last = number;
        if is_new {
            name(writer);
        }
        Ok(())
    }
}

/// What was named, by number.
pub(super) struct Names<T> {
    named: Vec<T>,
    last: i64,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { named: Vec::new(), last: 0 }
    }
}

impl<T> Names<T> {
    /// Reads a number; `name` reads what it stands for where it appears first.
    #[inline]
    pub(super) fn read<'b>(
        &mut self,
        reader: &mut ByteReader<'b>,
        name: impl FnOnce(&mut ByteReader<'b>) -> Result<T, Damage>,
    ) -> Result<&T, Damage> {
        let unknown = Damage("a name is not there");
        self.last = self.last.checked_add(reader.signed()?).ok_or(unknown)?;
        let number = usize::try_from(self.last).map_err(|_| unknown)?;
        if number == self.named.len() {
            self.named.push(name(reader)?);
        }
        self.named.get(number).ok_or(unknown)
    }
}

/// A named thing: its id, and its position in the catalog and in the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub(super) id: &'a str,
    pub(super) now: Option<u32>,
    pub(super) before: Option<u32>,
}

/// A named price book version.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamedVersion<'a> {
    pub(super) price_book: &'a str,
    pub(super) version: u32,
    pub(super) now: Option<u32>,
    pub(super) before: Option<u32>,
}

/// The positions of a catalog by name.
pub(super) struct Positions<'a> {
    accounts: HashMap<&'a str, u32>,
    lines: HashMap<&'a str, u32>,
    meters: HashMap<&'a str, u32>,
    versions: HashMap<(&'a str, u32), u32>,
}

impl<'a> Positions<'a> {
    pub(super) fn new(catalog: &'a Catalog) -> Self {
        let versions = catalog.price_book_versions().iter();
        Self {
            accounts: catalog.accounts().map(AccountId::as_str).zip(0..).collect(),
            lines: catalog.lines().iter().map(|line| line.id.as_str()).zip(0..).collect(),
            meters: catalog.meters().iter().map(|meter| meter.id.as_str()).zip(0..).collect(),
            versions: versions
                .map(|version| (version.price_book.as_str(), version.version))
                .zip(0..)
                .collect(),
        }
    }
}

/// The positions of a catalog, and of the one before where there is another.
pub(super) struct BothPositions<'a> {
    pub(super) now: Positions<'a>,
    pub(super) before: Option<Positions<'a>>,
}

impl BothPositions<'_> {
    fn find<'b>(&self, id: &'b str, find: impl Fn(&Positions<'_>, &str) -> Option<u32>) -> Named<'b> {
        let before = self.before.as_ref().and_then(|before| find(before, id));
        Named { id, now: find(&self.now, id), before }
    }

    pub(super) fn account<'b>(&self, reader: &mut ByteReader<'b>) -> Result<Named<'b>, Damage> {
        Ok(self.find(reader.text()?, |positions, id| positions.accounts.get(id).copied()))
    }

    pub(super) fn line<'b>(&self, reader: &mut ByteReader<'b>) -> Result<Named<'b>, Damage> {
        Ok(self.find(reader.text()?, |positions, id| positions.lines.get(id).copied()))
    }

    pub(super) fn meter<'b>(&self, reader: &mut ByteReader<'b>) -> Result<Named<'b>, Damage> {
        Ok(self.find(reader.text()?, |positions, id| positions.meters.get(id).copied()))
    }

    pub(super) fn version<'b>(&self, reader: &mut ByteReader<'b>) -> Result<NamedVersion<'b>, Damage> {
        let price_book = reader.text()?;
        let version = reader.small()?;
        let find = |positions: &Positions<'_>| positions.versions.get(&(price_book, version)).copied();
        let before = self.before.as_ref().and_then(find);
        Ok(NamedVersion { price_book, version, now: find(&self.now), before })
    }
}
