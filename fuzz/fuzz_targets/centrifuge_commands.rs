//! Any bytes as a frame of commands, in both formats: commands, and at most one thing malformed, at the end.
#![no_main]

use fanfare::protocol::centrifuge::{COMMAND_LIMIT, Commands, Connect, Emulation, Format, Method};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    for format in [Format::Json, Format::Protobuf] {
        let commands: Vec<_> = Commands::new(format, frame).collect();
        let (last, before) = commands.split_last().expect("an empty frame is malformed");
        assert!(commands.len() <= COMMAND_LIMIT + 1);
        assert!(before.iter().all(Result::is_ok));
        for command in before.iter().chain([last]).flatten() {
            let needs_no_id = matches!(command.method, Method::Send(_) | Method::Pong);
            assert!(command.id != 0 || needs_no_id);
            if let Method::Subscribe(subscribe) = &command.method
                && let Some(Ok(filter)) = &subscribe.tf
            {
                filter.matches(|name| (name.len() > 1).then_some("1.5"));
            }
        }
        let _ = Emulation::read(format, frame);
        let _ = Connect::read_bare(format, frame);
    }
});
