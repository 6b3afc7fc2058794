//! How much is done of each measurement.

/// How many clients come to a slow one at a time: email-oauth2-proxy listens with a backlog of 5, and
/// a client that finds it full waits for ever to be greeted.
const BACKLOG: usize = 4;

/// The sizes of one round.
#[derive(Clone, Copy)]
pub struct Load {
    /// Sessions that sign in and out, and how many at a time.
    pub sign_ins: usize,
    pub at_a_time: usize,
    /// Sessions one after another.
    pub verdicts: usize,
    /// Messages, one a session, of so many bytes, and how many at a time.
    pub messages: usize,
    pub message_len: usize,
    pub messages_at_a_time: usize,
    /// Questions and answers of one session.
    pub pings: usize,
    /// Sessions that stream, and the bytes of each.
    pub streams: usize,
    pub stream_len: usize,
    /// Idle sessions for the memory of one.
    pub idle: usize,
    /// Idle sessions for the CPU time of all.
    pub crowd: usize,
    /// For how long they are watched, in seconds.
    pub crowd_watched_s: u64,
    /// Sessions one after another at an upstream that is far away.
    pub far: usize,
}

impl Load {
    /// For figures: half a minute for a peer and a round.
    pub const FULL: Self = Self {
        sign_ins: 3_200,
        at_a_time: 16,
        verdicts: 300,
        messages: 1_600,
        message_len: 10_240,
        messages_at_a_time: 8,
        pings: 2_000,
        streams: 8,
        stream_len: 64 << 20,
        idle: 500,
        crowd: 9_000,
        crowd_watched_s: 5,
        far: 7,
    };

    /// To see that everything works.
    pub const SMOKE: Self = Self {
        sign_ins: 4,
        at_a_time: 2,
        verdicts: 2,
        messages: 2,
        message_len: 10_240,
        messages_at_a_time: 2,
        pings: 2,
        streams: 2,
        stream_len: 100_000,
        idle: 4,
        crowd: 8,
        crowd_watched_s: 0,
        far: 1,
    };

    /// A load for one that is so many times slower; never less than one of each.
    pub fn divided(self, slowness: usize) -> Self {
        if slowness == 1 {
            return self;
        }
        let less = |count: usize, least: usize| (count / slowness).max(least.min(count));
        Self {
            sign_ins: less(self.sign_ins, self.at_a_time),
            at_a_time: self.at_a_time.min(BACKLOG),
            messages_at_a_time: self.messages_at_a_time.min(BACKLOG),
            verdicts: less(self.verdicts, 3),
            messages: less(self.messages, self.messages_at_a_time),
            pings: less(self.pings, 200),
            stream_len: self.stream_len / 8,
            idle: less(self.idle, 40),
            far: less(self.far, 3),
            ..self
        }
    }
}
