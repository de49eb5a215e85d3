//! Everything within a radius, for who purges by meaning: no class is left out, and none is overlooked.

use std::collections::HashMap;

use super::Index;

impl Index {
    /// Keys and similarities of all vectors that are at least this similar to `vector`. Looks at every vector. Classes of
    /// other dimensions have none.
    ///
    /// # Errors
    /// What `usearch` says when it cannot search.
    pub fn within(&self, vector: &[f32], radius: f32) -> Result<HashMap<[u8; 32], f32>, String> {
        let mut found = HashMap::new();
        for class in self.all() {
            if class.dimensions() != vector.len() {
                continue;
            }
            let near = class.within(vector, radius)?;
            let maps = self.maps.read();
            for (number, similarity) in near {
                if let Some(item) = maps.items.get(&number) {
                    found.insert(item.exact, similarity.min(1.0));
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The unit vector of so many degrees.
    fn at(degrees: u16) -> [f32; 2] {
        let (sin, cos) = f32::from(degrees).to_radians().sin_cos();
        [cos, sin]
    }

    fn key(number: u16) -> [u8; 32] {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn all_within_the_radius_are_found_in_lists_and_graphs_of_every_class() {
        for each in [10_u16, 1000] {
            let index = Index::new(10_000);
            for n in 0..2 * each {
                let class = [u8::from(n >= each); 32];
                let turned = u32::from(n % each) * 90 / u32::from(each);
                index.add(class, key(n), &at(turned as u16)).unwrap();
            }
            index.settle().unwrap();
            index.add([9; 32], key(60_000), &[1.0, 0.0, 0.0]).unwrap();
            for radius in [0.999, 0.9, 0.5, -1.0] {
                let found = index.within(&at(0), radius).unwrap();
                let expected = (0..2 * each).filter(|n| {
                    let turned = u32::from(n % each) * 90 / u32::from(each);
                    at(turned as u16)[0] >= radius
                });
                let expected: Vec<_> = expected.collect();
                assert!(!expected.is_empty());
                let near = |n: &u16| at((u32::from(n % each) * 90 / u32::from(each)) as u16)[0];
                for n in 0..2 * each {
                    // What lies on the very edge may round either way.
                    if (near(&n) - radius).abs() > 0.002 {
                        let is = found.contains_key(&key(n));
                        assert_eq!(is, expected.contains(&n), "{n} of {each}, {radius}");
                    }
                }
            }
        }
    }
}
