package counterfoil

import "time"

// Event is something that happened to a session, or to a token that was presented. It holds no
// secret.
type Event struct {
	Kind    EventKind
	Reason  Reason
	Time    time.Time
	Session Info   // what is known of the session; zero for a token nobody knows
	Seq     uint64 // position in the store's log, where it is known
	Count   int    // of a bulk end: how many sessions; else 0
}

// EventKind is a closed set; the text is stable.
type EventKind string

const (
	EventCreated     EventKind = "created"     // an anonymous session began
	EventSignedIn    EventKind = "signed-in"   // a signed-in session began
	EventChanged     EventKind = "changed"     // generation or identity of a session changed
	EventEnded       EventKind = "ended"       // one session ended
	EventEndedMany   EventKind = "ended-many"  // a subject's sessions ended
	EventEndedAll    EventKind = "ended-all"   // every session ended
	EventRefused     EventKind = "refused"     // a token was presented that is no good
	EventStalled     EventKind = "stalled"     // a client has long been behind the current generation
	EventLog         EventKind = "log"         // this node dropped what it had cached: see the reason
	EventUnavailable EventKind = "unavailable" // the store did not answer
	EventClock       EventKind = "clock"       // this node's clock and the store's are too far apart
	EventKeys        EventKind = "keys"        // keys were replaced, rotated or revoked
)

// Logged reports whether what an event of this kind tells of stands in the store's log too, from where
// an audit is made; the others reach [Config.Observe] alone.
func (k EventKind) Logged() bool {
	switch k {
	case EventCreated, EventSignedIn, EventChanged, EventEnded, EventEndedMany, EventEndedAll:
		return true
	}
	return false
}

// Reason says why; the set is closed, the text stable.
type Reason string

const (
	ReasonSignIn          Reason = "sign-in"
	ReasonVisit           Reason = "visit" // a first value for an anonymous visitor
	ReasonSignOut         Reason = "sign-out"
	ReasonIdle            Reason = "idle"
	ReasonAbsolute        Reason = "absolute"
	ReasonRevoked         Reason = "revoked" // by the user or an operator
	ReasonPasswordChanged Reason = "password-changed"
	ReasonDisabled        Reason = "disabled"
	ReasonLimit           Reason = "limit"    // too many sessions of the subject
	ReasonReplaced        Reason = "replaced" // by a new sign-in
	ReasonReplayed        Reason = "replayed" // a retired generation came back
	ReasonParent          Reason = "parent"   // the session it hangs on ended
	ReasonRotated         Reason = "rotated"  // a new generation was confirmed
	ReasonSettled         Reason = "settled"  // the former generation was retired
	ReasonForged          Reason = "forged"   // the verifier was never issued
	ReasonMalformed       Reason = "malformed"
	ReasonAmbiguous       Reason = "cookie.ambiguous" // two different cookies of our name
	ReasonUnknown         Reason = "unknown"          // no session of that name
	ReasonUnreadable      Reason = "unreadable"       // the record does not open: its key is gone, or it was tampered with
	ReasonFlood           Reason = "flood"            // too many refusals from one source
	ReasonCredential      Reason = "credential"       // a sign-in with a wrong name or password
	ReasonTooMany         Reason = "too-many"         // a sign-in over the limit of attempts
	ReasonRestored        Reason = "restored"         // a backup was restored
	ReasonCopied          Reason = "copied"           // from another store
	ReasonGap             Reason = "gap"              // the log no longer reaches back to what the node had read
	ReasonIncarnation     Reason = "incarnation"      // the log is another: the store was restored or failed over
	ReasonFenced          Reason = "fenced"           // the node was silent for so long that it was shut out
	ReasonSkew            Reason = "skew"             // the node's clock and the store's are too far apart
	ReasonClockReset      Reason = "clock-reset"
	ReasonWrapped         Reason = "wrapped"   // the key file was wrapped under another key
	ReasonUnwrapped       Reason = "unwrapped" // the key file stands in the clear now
)

// Info is what may be shown of a session.
type Info struct {
	ID             ID
	Kind           Kind
	Subject, Actor string
	Methods        []string // how the subject proved who it is, RFC 8176 names
	Level          int      // assurance, 1 to 3; 0: anonymous
	Created        time.Time
	Proved         time.Time // last proof; zero: anonymous
	Seen           time.Time // exact to the touch interval
	IdleEnd        time.Time
	AbsoluteEnd    time.Time
	IP             string // as it was at sign-in
	Label          string // device, parsed: "Chrome on Linux"
	Unreadable     bool   // the record does not open: its key is gone; no token opens it either
}
