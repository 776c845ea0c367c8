//! The groups of rows, by keys that are one number each.

use std::hash::{BuildHasher, Hash};

use arrow::array::{ArrayRef, UInt32Array};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::value_ids::ValueIds;

/// The longest keys, in bits, that are looked up in an array with a place for each.
const DENSE_BITS: u32 = 14;
/// The place of no group.
const NONE: u32 = u32::MAX;

/// The groups, numbered in the order in which they came.
pub(super) struct Groups {
    columns: Vec<KeyColumn>,
    len: usize,
    /// The columns by which the rows are sorted, if they are.
    sorted: Vec<usize>,
    table: Table,
    /// The rows of a batch that have a new group.
    first_rows: Vec<usize>,
}

struct KeyColumn {
    values: ValueIds,
    /// The bits of a normalized key that the ids take.
    bits: u32,
    /// The ids of the rows of a batch.
    of_rows: Vec<u32>,
    /// The id of each group.
    of_groups: Vec<u32>,
}

/// The groups by their normalized keys.
enum Table {
    Dense(Vec<u32>),
    Narrow(Hashed<u64>),
    Wide(Hashed<u128>),
}

/// A hash table of keys and their groups.
struct Hashed<K> {
    table: HashTable<(K, u32)>,
    hasher: RandomState,
    /// The keys of the rows of a batch.
    of_rows: Vec<K>,
}

impl Groups {
    /// `sorted` are the columns by which the rows that come are sorted.
    pub(super) fn new(types: &[DataType], sorted: &[usize]) -> Self {
        let column = |data_type| KeyColumn {
            values: ValueIds::new(data_type),
            bits: 0,
            of_rows: Vec::new(),
            of_groups: Vec::new(),
        };
        Self {
            columns: types.iter().map(column).collect(),
            len: 0,
            sorted: sorted.to_vec(),
            table: Table::Dense(vec![NONE]),
            first_rows: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the bytes that it holds.
    pub(super) fn size(&self) -> usize {
        let of_columns = self.columns.iter().map(|column| {
            let ids = column.of_rows.capacity() + column.of_groups.capacity();
            column.values.size() + ids * size_of::<u32>()
        });
        let table = match &self.table {
            Table::Dense(groups) => groups.capacity() * size_of::<u32>(),
            Table::Narrow(hashed) => hashed.size(),
            Table::Wide(hashed) => hashed.size(),
        };
        of_columns.sum::<usize>() + table
    }

    /// Sets the groups of rows with these keys. Returns false, and groups nothing, if the keys have too
    /// many values, or the groups are too many.
    pub(super) fn intern(&mut self, keys: &[ArrayRef], groups: &mut Vec<usize>) -> Result<bool> {
        for (column, keys) in self.columns.iter_mut().zip(keys) {
            column.values.ids(keys, &mut column.of_rows)?;
        }
        let rows = keys.first().map_or(0, |keys| keys.len());
        if self.len + rows >= NONE as usize || !self.widen() {
            if self.len == 0 {
                // No group needs the ids.
                self.take_first(0)?;
            }
            return Ok(false);
        }
        self.first_rows.clear();
        let new = NewGroups { len: self.len, first_rows: &mut self.first_rows };
        match &mut self.table {
            Table::Dense(table) => look_up_dense(table, &self.columns, new, groups),
            Table::Narrow(hashed) => hashed.look_up(&self.columns, new, groups),
            Table::Wide(hashed) => hashed.look_up(&self.columns, new, groups),
        }
        self.len += self.first_rows.len();
        for KeyColumn { of_groups, of_rows, .. } in &mut self.columns {
            of_groups.extend(self.first_rows.iter().map(|row| of_rows[*row]));
        }
        Ok(true)
    }

    /// Gives ids as many bits as they need, and some of their growth. Returns false if they need more
    /// than a key has.
    fn widen(&mut self) -> bool {
        let needed = |column: &KeyColumn| bits_of(column.values.len());
        if self.columns.iter().all(|column| needed(column) <= column.bits) {
            return true;
        }
        if self.columns.iter().map(needed).sum::<u32>() > u128::BITS {
            return false;
        }
        for column in &mut self.columns {
            if needed(column) > column.bits {
                column.bits = needed(column);
            }
        }
        // The old table need not wait for the new one.
        self.table = Table::Dense(Vec::new());
        let bits: u32 = self.columns.iter().map(|column| column.bits).sum();
        self.table = if bits <= DENSE_BITS {
            let mut keys: Vec<usize> = Vec::new();
            pack(&self.columns, &mut keys, |column| &column.of_groups);
            let mut table = vec![NONE; 1 << bits];
            (0..).zip(keys).for_each(|(group, key)| table[key] = group);
            Table::Dense(table)
        } else if bits <= u64::BITS {
            Table::Narrow(Hashed::of(&self.columns))
        } else {
            Table::Wide(Hashed::of(&self.columns))
        };
        true
    }

    /// Returns how many groups, from the first one, no later row has: those before the last keys that
    /// the rows are sorted by.
    pub(super) fn ended(&self) -> usize {
        let keys = |group: usize| {
            self.sorted.iter().map(move |column| self.columns[*column].of_groups[group])
        };
        let Some(last) = self.len.checked_sub(1) else { return 0 };
        // Groups with the same of these keys are neighbours: half of what may be is left each time.
        let mut ended = 0..last;
        while !ended.is_empty() {
            let middle = ended.start.midpoint(ended.end);
            if keys(middle).eq(keys(last)) {
                ended.end = middle;
            } else {
                ended.start = middle + 1;
            }
        }
        ended.start
    }

    /// Returns the keys of the first groups and removes these. The others are numbered from zero.
    pub(super) fn take_first(&mut self, count: usize) -> Result<Vec<ArrayRef>> {
        let take = |column: &mut KeyColumn| {
            column.bits = 0;
            column.values.take(&UInt32Array::from(std::mem::take(&mut column.of_groups)))
        };
        let keys: Vec<ArrayRef> = self.columns.iter_mut().map(take).collect::<Result<_>>()?;
        let rest = self.len - count;
        (self.len, self.table) = (0, Table::Dense(vec![NONE]));
        if rest > 0 {
            let of_rest: Vec<_> = keys.iter().map(|keys| keys.slice(count, rest)).collect();
            self.intern(&of_rest, &mut Vec::new())?;
        }
        Ok(keys.into_iter().map(|keys| keys.slice(0, count)).collect())
    }
}

/// Numbers new groups.
struct NewGroups<'a> {
    /// The number of groups before the batch.
    len: usize,
    first_rows: &'a mut Vec<usize>,
}

impl NewGroups<'_> {
    /// Returns the number of the group that begins in a row.
    fn begin(&mut self, row: usize) -> u32 {
        self.first_rows.push(row);
        (self.len + self.first_rows.len() - 1) as u32
    }
}

fn look_up_dense(
    table: &mut [u32],
    columns: &[KeyColumn],
    mut new: NewGroups<'_>,
    groups: &mut Vec<usize>,
) {
    pack(columns, groups, |column| &column.of_rows);
    for (row, place) in groups.iter_mut().enumerate() {
        let group = &mut table[*place];
        if *group == NONE {
            *group = new.begin(row);
        }
        *place = *group as usize;
    }
}

impl<K: Key> Hashed<K> {
    /// Returns the groups that there are.
    fn of(columns: &[KeyColumn]) -> Self {
        let (mut keys, hasher) = (Vec::new(), RandomState::default());
        pack(columns, &mut keys, |column| &column.of_groups);
        let mut table = HashTable::with_capacity(keys.len());
        for (group, key) in (0..).zip(&keys) {
            let hash_of = |(key, _): &(K, u32)| hasher.hash_one(key);
            table.insert_unique(hasher.hash_one(key), (*key, group), hash_of);
        }
        Self { table, hasher, of_rows: Vec::new() }
    }

    fn size(&self) -> usize {
        self.table.allocation_size() + self.of_rows.capacity() * size_of::<K>()
    }

    fn look_up(&mut self, columns: &[KeyColumn], mut new: NewGroups<'_>, groups: &mut Vec<usize>) {
        let hash_of = |(key, _): &(K, u32)| self.hasher.hash_one(key);
        pack(columns, &mut self.of_rows, |column| &column.of_rows);
        groups.clear();
        groups.extend(self.of_rows.iter().enumerate().map(|(row, key)| {
            let hash = self.hasher.hash_one(key);
            let entry = self.table.entry(hash, |(known, _)| known == key, hash_of);
            entry.or_insert_with(|| (*key, new.begin(row))).get().1 as usize
        }));
    }
}

/// A normalized key.
trait Key: Copy + Eq + Hash {
    fn of(id: u32) -> Self;
    fn add(&mut self, id: u32, shift: u32);
}

macro_rules! keys {
    ($($number:ty),*) => {$(
        impl Key for $number {
            #[inline]
            fn of(id: u32) -> Self {
                id as Self
            }

            #[inline]
            fn add(&mut self, id: u32, shift: u32) {
                *self |= (id as Self) << shift;
            }
        }
    )*};
}

keys!(usize, u64, u128);

/// Returns the bits that some ids need.
fn bits_of(ids: usize) -> u32 {
    ids.next_power_of_two().ilog2()
}

/// Sets normalized keys: the ids of all columns, one after the other.
fn pack<K: Key>(columns: &[KeyColumn], keys: &mut Vec<K>, ids: impl Fn(&KeyColumn) -> &Vec<u32>) {
    let mut shift = 0;
    for (position, column) in columns.iter().enumerate() {
        let ids = ids(column);
        if position == 0 {
            keys.clear();
            keys.extend(ids.iter().map(|id| K::of(*id)));
        } else if column.bits > 0 {
            for (key, id) in keys.iter_mut().zip(ids) {
                key.add(*id, shift);
            }
        }
        shift += column.bits;
    }
}
