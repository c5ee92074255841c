//! Hands the target that `FUZZ_TARGET` names to libFuzzer. `make fuzz` runs it.

#![no_main]

use std::sync::OnceLock;

use certwright_fuzz::Target;

static TARGET: OnceLock<&Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names the target");
        let target = certwright_fuzz::find(&name).unwrap_or_else(|| panic!("there is no target {name}"));
        TARGET.get_or_init(|| target);
    },
    |data: &[u8]| {
        if let Some(target) = TARGET.get() {
            (target.run)(data);
        }
    }
);
