//! What a connection's stream lacks to be whole, for a worker that takes it over from one that failed.

use bytes::Bytes;

use super::connection::{Connection, ConnectionId};
use super::fanout::Fanout;

/// What a connection's stream lacks to be whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// What a sink made of what it took, as it is.
    pub sealed: Option<Bytes>,
    /// The rest of a cut frame, then replies.
    pub frames: Vec<Bytes>,
    /// A close frame that was queued and has not gone out.
    pub close: Option<Bytes>,
}

impl Fanout {
    /// What `connection` is owed besides its topics; `None` if it can be written nothing more. Shares the bytes.
    ///
    /// Looks at this connection alone and changes nothing, so it can be asked after a panic elsewhere in here.
    pub fn remains(&self, connection: ConnectionId) -> Option<Remains> {
        let conn = self.live(connection).filter(|conn| !conn.is(Connection::CUT_OFF))?;
        let Some(owed) = &conn.owed else { return Some(Remains::default()) };
        let tail = owed.tail.iter().map(|tail| &tail.rest);
        let frames = tail.chain(owed.outbox.iter().map(|(frame, _)| frame)).cloned().collect();
        let sealed = owed.sealed.as_ref().map(|(sealed, _)| sealed.clone());
        Some(Remains { sealed, frames, close: owed.close.clone() })
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;
    use crate::fanout::{Missed, Sent, Settings, Tick, Writer};

    fn write(fanout: &mut Fanout, connection: ConnectionId, bytes: usize) -> Writer {
        let mut notice = |_, _: Missed| Bytes::new();
        fanout.visit(connection, Tick(0), &mut notice, |_: &[IoSlice<'_>]| Sent::Wrote(bytes)).writer
    }

    #[test]
    fn a_cut_frame_comes_first_and_what_went_out_is_not_there() {
        let mut fanout = Fanout::new(Settings::default(), Vec::new());
        let connection = fanout.connect();
        assert_eq!(fanout.remains(connection), Some(Remains::default()));
        for reply in ["gone", "cut in two", "whole"] {
            fanout.reply(connection, Bytes::from(reply));
        }
        fanout.finish_now(connection, Some(Bytes::from("close")));
        assert_eq!(write(&mut fanout, connection, "gonecut".len()), Writer::Blocked);
        let frames = vec![Bytes::from(" in two"), Bytes::from("whole")];
        assert_eq!(
            fanout.remains(connection),
            Some(Remains { frames, close: Some(Bytes::from("close")), ..Remains::default() })
        );
        fanout.writable(connection);
        assert_eq!(write(&mut fanout, connection, " in twowholecl".len()), Writer::Blocked);
        // Its close frame is under way: only the rest of that may follow.
        assert_eq!(
            fanout.remains(connection),
            Some(Remains { frames: vec![Bytes::from("ose")], ..Remains::default() })
        );
        fanout.disconnect(connection);
        assert_eq!(fanout.remains(connection), None);
    }
}
