//! A list that lives on the stack while it is short.

/// Up to `N` items without allocation, any number with one.
#[derive(Debug)]
pub struct StackVec<T: Copy, const N: usize> {
    inline: [T; N],
    len: usize,
    spilled: Vec<T>,
}

impl<T: Copy, const N: usize> StackVec<T, N> {
    /// An empty list; `filler` is what unused places hold.
    pub fn new(filler: T) -> Self {
        Self {
            inline: [filler; N],
            len: 0,
            spilled: Vec::new(),
        }
    }

    /// Appends an item.
    pub fn push(&mut self, item: T) {
        if !self.spilled.is_empty() {
            self.spilled.push(item);
        } else if let Some(place) = self.inline.get_mut(self.len) {
            *place = item;
            self.len += 1;
        } else {
            self.spilled.reserve(2 * N + 1);
            self.spilled.extend_from_slice(&self.inline);
            self.spilled.push(item);
            self.len = 0;
        }
    }

    /// Takes the item at `index` out, keeping the order of the others; does nothing past the end.
    pub fn remove(&mut self, index: usize) {
        if index < self.spilled.len() {
            self.spilled.remove(index);
        } else if index < self.len {
            self.inline.copy_within(index + 1..self.len, index);
            self.len -= 1;
        }
    }

    /// The items in order.
    pub fn as_slice(&self) -> &[T] {
        if self.spilled.is_empty() {
            &self.inline[..self.len]
        } else {
            &self.spilled
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_behaves_like_a_vec(steps in proptest::collection::vec((any::<bool>(), 0usize..12), 0..60)) {
            let mut ours = StackVec::<usize, 4>::new(0);
            let mut model = Vec::new();
            for (push, n) in steps {
                if push {
                    ours.push(n);
                    model.push(n);
                } else {
                    ours.remove(n);
                    if n < model.len() {
                        model.remove(n);
                    }
                }
                prop_assert_eq!(ours.as_slice(), model.as_slice());
            }
        }
    }
}
