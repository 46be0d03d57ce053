//! How long each part takes: `./scripts/bench micro [FILTER]`.

mod parts;

use std::cell::RefCell;
use std::fmt;

use divan::Bencher;
use divan::counter::ItemsCount;

use parts::Named;

/// What the node allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn main() {
    divan::main();
}

/// One run is a sample: it changes what the next one is got ready from.
#[divan::bench(args = parts::all(), sample_size = 1, sample_count = 200)]
fn part(bencher: Bencher<'_, '_>, named: &Named) {
    let part = RefCell::new((named.make)());
    bencher
        .counter(ItemsCount::new(named.commands))
        .with_inputs(|| part.borrow_mut().ready())
        .bench_local_values(|()| part.borrow_mut().run());
}
