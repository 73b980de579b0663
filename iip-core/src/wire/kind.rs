/// The first byte of a frame (`docs/protocol.md`, section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// First frame of a request; more frames follow.
    RequestFirst = 0,
    /// The only frame of a request.
    RequestWhole = 1,
    /// A following frame of a request; more follow.
    RequestNext = 2,
    /// The last frame of a request of several frames.
    RequestLast = 3,
    /// First frame of a response; more frames follow.
    ResponseFirst = 4,
    /// The only frame of a response.
    ResponseWhole = 5,
    /// A following frame of a response; more follow.
    ResponseNext = 6,
    /// The last frame of a response of several frames.
    ResponseLast = 7,
    /// Close the connection at once. The rest of the frame need not arrive.
    Close = 8,
}

impl FrameKind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 9] = [
        Self::RequestFirst,
        Self::RequestWhole,
        Self::RequestNext,
        Self::RequestLast,
        Self::ResponseFirst,
        Self::ResponseWhole,
        Self::ResponseNext,
        Self::ResponseLast,
        Self::Close,
    ];

    /// The kind with this number, if there is one.
    pub fn from_u8(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }

    /// The number on the wire.
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// The kind of a request's frame, from its place in the request.
    pub const fn request(first: bool, last: bool) -> Self {
        match (first, last) {
            (true, false) => Self::RequestFirst,
            (true, true) => Self::RequestWhole,
            (false, false) => Self::RequestNext,
            (false, true) => Self::RequestLast,
        }
    }

    /// The kind of a response's frame, from its place in the response.
    pub const fn response(first: bool, last: bool) -> Self {
        match (first, last) {
            (true, false) => Self::ResponseFirst,
            (true, true) => Self::ResponseWhole,
            (false, false) => Self::ResponseNext,
            (false, true) => Self::ResponseLast,
        }
    }

    /// Kinds 0 to 3.
    pub const fn is_request(self) -> bool {
        (self as u8) < 4
    }

    /// Kinds 4 to 7.
    pub const fn is_response(self) -> bool {
        (self as u8) >= 4 && (self as u8) < 8
    }

    /// Begins a message: kinds 0, 1, 4 and 5.
    pub const fn is_first(self) -> bool {
        (self as u8) < 8 && (self as u8) & 2 == 0
    }

    /// Completes a message: kinds 1, 3, 5 and 7.
    pub const fn is_last(self) -> bool {
        (self as u8) < 8 && (self as u8) & 1 == 1
    }
}
