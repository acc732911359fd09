//! A vector that grows by one page at a time.
//!
//! In a pool of a million accounts, a vector that doubles would hold the pool's lock while it moves
//! all of them, and would then have room for another million.

const PAGE: usize = 1024;

#[derive(Debug)]
pub(super) struct Pages<T> {
    /// All pages but the last are full, and the last is not empty.
    pages: Vec<Vec<T>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> Pages<T> {
    pub(super) fn len(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE + last.len())
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.pages.get(at / PAGE)?.get(at % PAGE)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.pages.get_mut(at / PAGE)?.get_mut(at % PAGE)
    }

    pub(super) fn push(&mut self, item: T) {
        match self.pages.last_mut() {
            Some(last) if last.len() < PAGE => last.push(item),
            // The first page grows like any vector, since a pool of three accounts does not need a
            // page.
            None => self.pages.push(vec![item]),
            Some(_) => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(item);
                self.pages.push(page);
            }
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let last = self.pages.last_mut()?;
        let item = last.pop();
        if last.is_empty() {
            self.pages.pop();
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_and_popped_across_pages() {
        let mut pages = Pages::default();
        for number in 0..=3 * PAGE {
            assert_eq!(pages.len(), number);
            pages.push(number);
        }
        *pages.get_mut(PAGE).unwrap() = 7;
        assert_eq!(
            (pages.get(PAGE), pages.get(PAGE + 1), pages.get(3 * PAGE + 1)),
            (Some(&7), Some(&(PAGE + 1)), None)
        );
        for number in (PAGE + 1..=3 * PAGE).rev() {
            assert_eq!(pages.pop(), Some(number));
        }
        assert_eq!((pages.pop(), pages.len()), (Some(7), PAGE));
    }
}
