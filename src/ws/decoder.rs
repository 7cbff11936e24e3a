//! The walk over what a client sent: bytes in, messages out, cut anywhere.

use fastwebsockets::{OpCode, unmask};

use super::assembly::{self, Assembly};
use super::close;
use super::header::{self, Context, Header};
use super::inflate::{Inflater, wire_limit};
use super::message::{Message, MessageLimits, Step};
use super::violation::Violation;

/// A strict, resumable decoder of the frames of one client (RFC 6455, server side; RFC 7692 if it was agreed on).
///
/// Idle, it is one pointer. It allocates only while a header, a frame or a fragmented message is incomplete, in
/// proportion to the bytes that have come, and frees that once the message was taken. No `async`, so nothing to cancel.
#[derive(Debug, Default)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
}

/// What is incomplete.
#[derive(Debug)]
struct Partial {
    /// The first bytes of a header that is cut.
    header: [u8; header::LIMIT_BYTES],
    header_len: u8,
    control_len: u8,
    handed_out: HandedOut,
    /// The payload of a control frame that is cut, or that came inside a fragmented message.
    control: [u8; header::CONTROL_LIMIT_BYTES],
    /// The frame whose payload is awaited.
    frame: Option<Frame>,
    /// The message that is not finished.
    assembly: Option<Assembly>,
}

/// What of a [`Partial`] the caller was lent by the last call; it is let go of in the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HandedOut {
    Nothing,
    Control,
    Message,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    fin: bool,
    opcode: OpCode,
    /// Turned so that its first byte is for the next payload byte.
    mask: [u8; 4],
    missing_bytes: usize,
}

/// Where the next message lies. The walk finds it first and lends it after, so that it can clean up on violations.
#[derive(Debug, Clone, Copy)]
enum Found {
    Nothing,
    /// Whole in the input; its header ends at `start`, the frame where the step ends.
    InInput {
        opcode: OpCode,
        start: usize,
    },
    /// Inflated; the inflater has it.
    Inflated {
        is_text: bool,
    },
    /// In [`Partial::control`].
    Control(OpCode),
    /// In [`Partial::assembly`].
    Assembled,
}

impl Decoder {
    /// A decoder before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next message of `input`, which goes on where the last call stopped.
    ///
    /// Call it again with `input` behind [`Step::consumed`] until [`Step::message`] is `None`; that last call, with
    /// empty input, is also what frees the buffer of a message that had been cut. The payload is unmasked in place, and
    /// a message that lies whole in `input` is lent from there without a copy.
    ///
    /// `limits` bounds one message, in bytes over all its fragments, compressed or not, and in fragments; control frames
    /// do not count.
    /// What is held of an unfinished compressed message is what came, an eighth more than the limit at most: it is inflated
    /// when it is whole. `inflater` does that, if compression was agreed on; without one RSV1 is refused. It may serve
    /// other decoders between two messages, and must be given to the next call, too, which lets go of its message.
    ///
    /// # Errors
    /// The first rule that the client broke, as early as its bytes show it. The connection has to be closed then; what
    /// was buffered is gone, and further calls would start in the middle of nowhere.
    pub fn next<'a>(
        &'a mut self,
        input: &'a mut [u8],
        limits: MessageLimits,
        mut inflater: Option<&'a mut Inflater>,
    ) -> Result<Step<'a>, Violation> {
        self.let_go();
        if let Some(inflater) = &mut inflater {
            inflater.let_go();
        }
        let (consumed, found) = match self.walk(input, limits, inflater.as_deref_mut()) {
            Ok(walked) => walked,
            Err(violation) => {
                self.partial = None;
                return Err(violation);
            }
        };
        if let Found::Inflated { is_text } = found {
            // At the end of a message nothing is open, and its compressed bytes have had their use.
            self.partial = None;
            let inflated = inflater.map_or(&[][..], |inflater| inflater.message());
            return Ok(Step { consumed, message: Some(assembly::whole(is_text, inflated)?) });
        }
        let partial = self.partial.as_deref();
        let message = match (found, partial) {
            (Found::Nothing, _) => None,
            (Found::InInput { opcode, start }, _) => Some(lend(opcode, &input[start..consumed])?),
            (Found::Control(opcode), Some(partial)) => {
                Some(lend(opcode, &partial.control[..usize::from(partial.control_len)])?)
            }
            (Found::Assembled, Some(Partial { assembly: Some(assembly), .. })) => Some(assembly.message()?),
            (Found::Inflated { .. } | Found::Control(_) | Found::Assembled, _) => {
                unreachable!("invariant: what was found is there")
            }
        };
        Ok(Step { consumed, message })
    }

    /// Whether `input` is one whole pong and nothing else, which any decoder between two frames would take without a
    /// word: what most idle clients ever send.
    ///
    /// `false` says nothing: [`Decoder::next`] knows. Looks at two bytes.
    pub fn is_lone_pong(&self, input: &[u8]) -> bool {
        const PONG: u8 = 0x80 | OpCode::Pong as u8;
        const MASKED: u8 = 0x80;
        match input {
            // Its length in two bytes or more would not be of a control frame, and a mask is 4 bytes (RFC 6455 §5.5, §5.2).
            [PONG, length, rest @ ..] => {
                let payload_bytes = usize::from(length & !MASKED);
                self.partial.is_none()
                    && length & MASKED != 0
                    && payload_bytes <= header::CONTROL_LIMIT_BYTES
                    && rest.len() == 4 + payload_bytes
            }
            _ => false,
        }
    }

    /// Whether bytes of an unfinished header, frame or message are held.
    pub fn is_mid_message(&self) -> bool {
        self.partial.as_ref().is_some_and(|partial| {
            partial.header_len > 0
                || partial.frame.is_some()
                || (partial.assembly.is_some() && partial.handed_out != HandedOut::Message)
        })
    }

    /// Bytes of heap held, for the memory account of the connection. 0 when idle.
    pub fn buffered_bytes(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| size_of::<Partial>() + partial.assembly.as_ref().map_or(0, Assembly::capacity))
    }

    /// Lets go of what the last call lent.
    fn let_go(&mut self) {
        let Some(partial) = self.partial.as_deref_mut() else { return };
        match partial.handed_out {
            HandedOut::Nothing => return,
            HandedOut::Control => partial.control_len = 0,
            HandedOut::Message => partial.assembly = None,
        }
        partial.handed_out = HandedOut::Nothing;
        // A message is handed out at the end of a frame, so no header and no frame is open now.
        if partial.assembly.is_none() {
            self.partial = None;
        }
    }

    /// Walks to the end of the next message or of the input.
    fn walk(
        &mut self,
        input: &mut [u8],
        limits: MessageLimits,
        inflater: Option<&mut Inflater>,
    ) -> Result<(usize, Found), Violation> {
        let message_limit = limits.bytes;
        if input.is_empty() {
            return Ok((0, Found::Nothing));
        }
        let compressed_limit = if inflater.is_some() { wire_limit(message_limit) } else { 0 };
        let context = Context { message_bytes: None, message_limit, compressed_limit };
        if self.partial.is_none()
            && let Some(header) = header::read(input, context)?
            && header.fin
            && input.len() - header.header_bytes >= header.payload_bytes
        {
            let start = header.header_bytes;
            let end = start + header.payload_bytes;
            unmask(&mut input[start..end], header.mask);
            return match inflater {
                Some(inflater) if header.is_compressed => {
                    inflater.inflate(&input[start..end], message_limit)?;
                    Ok((end, Found::Inflated { is_text: header.opcode == OpCode::Text }))
                }
                Some(_) | None => Ok((end, Found::InInput { opcode: header.opcode, start })),
            };
        }
        self.partial.get_or_insert_with(Box::default).walk(input, context, limits.fragments, inflater)
    }
}

impl Default for Partial {
    fn default() -> Self {
        Self {
            header: [0; header::LIMIT_BYTES],
            header_len: 0,
            control_len: 0,
            handed_out: HandedOut::Nothing,
            control: [0; header::CONTROL_LIMIT_BYTES],
            frame: None,
            assembly: None,
        }
    }
}

impl Partial {
    fn walk(
        &mut self,
        input: &mut [u8],
        context: Context,
        fragments: u32,
        mut inflater: Option<&mut Inflater>,
    ) -> Result<(usize, Found), Violation> {
        let mut at = 0;
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => {
                    let (taken, header) = self.read_header(&input[at..], context)?;
                    at += taken;
                    let Some(header) = header else { return Ok((at, Found::Nothing)) };
                    self.open(header, fragments)?
                }
            };
            let end = at + frame.missing_bytes.min(input.len() - at);
            let piece = &mut input[at..end];
            unmask(piece, frame.mask);
            frame.mask.rotate_left(piece.len() % 4);
            frame.missing_bytes -= piece.len();
            self.take_in(&frame, piece, context)?;
            at = end;
            if frame.missing_bytes > 0 {
                self.frame = Some(frame);
                return Ok((at, Found::Nothing));
            }
            match self.finish(&frame, context.message_limit, inflater.as_deref_mut())? {
                Found::Nothing => {}
                found @ (Found::InInput { .. } | Found::Inflated { .. } | Found::Control(_) | Found::Assembled) => {
                    return Ok((at, found));
                }
            }
        }
    }

    /// Reads a header that may have started in an earlier input; tells how many bytes of `input` belong to it.
    fn read_header(&mut self, input: &[u8], context: Context) -> Result<(usize, Option<Header>), Violation> {
        let context = match &self.assembly {
            Some(open) => {
                Context { message_bytes: Some(open.bytes().len()), message_limit: limit_of(open, context), ..context }
            }
            None => context,
        };
        let held = usize::from(self.header_len);
        let taken = input.len().min(header::LIMIT_BYTES - held);
        self.header[held..held + taken].copy_from_slice(&input[..taken]);
        match header::read(&self.header[..held + taken], context)? {
            Some(header) => {
                self.header_len = 0;
                Ok((header.header_bytes - held, Some(header)))
            }
            None => {
                // At most 13 bytes: 14 are always a complete header.
                self.header_len = (held + taken) as u8;
                Ok((taken, None))
            }
        }
    }

    fn open(&mut self, header: Header, fragments: u32) -> Result<Frame, Violation> {
        let Header { fin, opcode, mask, payload_bytes, .. } = header;
        if !header.is_control() {
            let new = || Assembly::new(opcode, header.is_compressed);
            self.assembly.get_or_insert_with(new).begin_fragment(fragments)?;
        }
        Ok(Frame { fin, opcode, mask, missing_bytes: payload_bytes })
    }

    /// Adds an unmasked piece of the payload of `frame` to where it belongs.
    fn take_in(&mut self, frame: &Frame, piece: &[u8], context: Context) -> Result<(), Violation> {
        match frame.opcode {
            OpCode::Close | OpCode::Ping | OpCode::Pong => {
                let held = usize::from(self.control_len);
                self.control[held..held + piece.len()].copy_from_slice(piece);
                self.control_len += piece.len() as u8;
                Ok(())
            }
            OpCode::Continuation | OpCode::Text | OpCode::Binary => {
                let assembly = self.assembly.as_mut().expect("invariant: a data frame opens or continues a message");
                let final_size = assembly.bytes().len() + piece.len() + frame.missing_bytes;
                let limit = limit_of(assembly, context);
                assembly.push(piece, if frame.fin { final_size } else { limit })
            }
        }
    }

    /// What there is at the end of `frame`.
    fn finish(
        &mut self,
        frame: &Frame,
        message_limit: usize,
        inflater: Option<&mut Inflater>,
    ) -> Result<Found, Violation> {
        match frame.opcode {
            OpCode::Close | OpCode::Ping | OpCode::Pong => {
                if frame.opcode == OpCode::Close {
                    // Checked here, where a violation still clears what is buffered.
                    close::parse(&self.control[..usize::from(self.control_len)])?;
                }
                self.handed_out = HandedOut::Control;
                Ok(Found::Control(frame.opcode))
            }
            OpCode::Continuation | OpCode::Text | OpCode::Binary if frame.fin => {
                let assembly = self.assembly.as_ref().expect("invariant: a data frame opens or continues a message");
                if let Some(inflater) = inflater
                    && assembly.is_compressed()
                {
                    inflater.inflate(assembly.bytes(), message_limit)?;
                    return Ok(Found::Inflated { is_text: assembly.is_text() });
                }
                assembly.finish()?;
                self.handed_out = HandedOut::Message;
                Ok(Found::Assembled)
            }
            OpCode::Continuation | OpCode::Text | OpCode::Binary => Ok(Found::Nothing),
        }
    }
}

/// Bytes that an unfinished message may have.
fn limit_of(assembly: &Assembly, context: Context) -> usize {
    if assembly.is_compressed() { context.compressed_limit } else { context.message_limit }
}

/// A whole unmasked payload as a message.
fn lend(opcode: OpCode, payload: &[u8]) -> Result<Message<'_>, Violation> {
    match opcode {
        OpCode::Text => assembly::whole(true, payload),
        OpCode::Binary | OpCode::Continuation => assembly::whole(false, payload),
        OpCode::Close => Ok(Message::Close(close::parse(payload)?)),
        OpCode::Ping => Ok(Message::Ping(payload)),
        OpCode::Pong => Ok(Message::Pong(payload)),
    }
}

#[cfg(test)]
mod compressed;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
