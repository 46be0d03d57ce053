//! A vector in pages that are shared with snapshots: a page is copied when it is first written after one was taken.

use std::sync::Arc;

/// Elements in a page. Small, so that the first write after a snapshot copies little; large, so that taking one is quick.
const PAGE: usize = 256;

/// A vector in shared pages.
#[derive(Debug, Clone)]
pub struct Paged<T> {
    pages: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }
}

impl<T: Clone> Paged<T> {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The element at `ix`.
    pub fn get(&self, ix: u32) -> &T {
        let ix = ix as usize;
        &self.pages[ix / PAGE][ix % PAGE]
    }

    /// The element at `ix`, to be written.
    pub fn get_mut(&mut self, ix: u32) -> &mut T {
        let ix = ix as usize;
        &mut Arc::make_mut(&mut self.pages[ix / PAGE])[ix % PAGE]
    }

    /// Adds an element; returns its place.
    ///
    /// # Panics
    /// When there are 2^32 elements already.
    pub fn push(&mut self, value: T) -> u32 {
        let ix = u32::try_from(self.len).expect("fewer than 2^32 elements");
        if self.len.is_multiple_of(PAGE) {
            self.pages.push(Arc::new(Vec::with_capacity(PAGE)));
        }
        Arc::make_mut(self.pages.last_mut().expect("a page was just made")).push(value);
        self.len += 1;
        ix
    }

    /// All elements in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| page.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_does_not_see_later_writes() {
        let mut live = Paged::default();
        for number in 0..1000 {
            assert_eq!(live.push(number), number);
        }
        let frozen = live.clone();
        *live.get_mut(500) = 0;
        live.push(1000);
        assert_eq!(*frozen.get(500), 500);
        assert_eq!(frozen.iter().copied().collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
        assert_eq!((*live.get(500), live.len(), *live.get(1000)), (0, 1001, 1000));
    }
}
