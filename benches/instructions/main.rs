//! The hot path's operations as programs to count instructions of; `cargo xtask instructions` does the counting.
//!
//! * `--list` prints the scenarios, one a line: its name, and how many operations to count;
//! * `--run SCENARIO COUNT` prepares the scenario, does a fixed number of operations to get into its stride, then COUNT;
//! * anything else, such as what cargo passes to a bench, tries every scenario with a few operations.
//!
//! A count is the difference of two runs, one with twice the operations of the other: what the process does besides
//! (loading, preparing, warming up) is in both and cancels. The other way, to let callgrind collect only inside a named
//! function, needs that function to be there after inlining, and a boundary that the optimiser must respect.
//!
//! With mimalloc, as the hub: it works under valgrind, which leaves the allocator alone when it only counts. It looks at
//! the clock to give memory back; the command tells it not to (`MIMALLOC_PURGE_DELAY=-1`), as time passes differently
//! there.

#[path = "../stage/mod.rs"]
mod stage;

mod scenario;

use std::process::ExitCode;

use scenario::Scenario;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Operations of a scenario that is only tried.
const TRIED: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--list"] => Scenario::ALL.iter().for_each(|scenario| println!("{} {}", scenario.name, scenario.count)),
        ["--run", name, count] => {
            let found = Scenario::ALL.iter().find(|scenario| scenario.name == name);
            let (Some(scenario), Ok(count)) = (found, count.parse()) else {
                eprintln!("no scenario {name}, or no count: {count}");
                return ExitCode::FAILURE;
            };
            scenario.run(scenario.count, count);
        }
        _ => {
            for scenario in Scenario::ALL {
                scenario.run(0, TRIED);
                println!("{}: ok", scenario.name);
            }
        }
    }
    ExitCode::SUCCESS
}
