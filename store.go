package counterfoil

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Store keeps records and the ordered log. It sees ciphertext, never a token, a subject's name or a
// value. Package storetest proves each sentence below; a store is right if it passes.
//
// Every method is safe for use by many goroutines. Load, Log and Poll are linearizable: they see
// every change acknowledged before they began, whichever node made it. An error that is none of the
// sentinels, a context's included, means "unknown": the change may or may not have happened, and
// calling again with the same arguments is safe. No method inserts a record but Create.
type Store interface {
	// Create inserts rec with Revision 1 and, in the same transaction, checks and appends what c
	// says, in this order:
	//   - a live parent: if rec.Parent is set and no such record exists, or one of its ends has
	//     passed at c.Entry.Time: ErrNoParent.
	//   - c.Since: if it is not 0 and an ended-subject or ended-all entry from that position on covers
	//     rec, or the log no longer reaches back that far, or Since is above head + 1: ErrSuperseded.
	//     Evictions and ends of single sessions never refuse.
	//   - c.Replaces: those records that exist are ended with ReasonReplaced, one ended entry each.
	//     They do not count for the limit. If one of them is rec's parent or an ancestor of it:
	//     ErrNoParent.
	//   - c.Limit: if the subject has Max or more other live records of rec.Kind without a parent,
	//     enough of them are ended with ReasonLimit, in the asked order, to leave Max-1; with Deny
	//     nothing changes and ErrLimit is returned. However many run at once, no more than Max are
	//     live afterwards. Records that have a parent do not count and evict nobody; nor do those
	//     without a subject.
	//   - the created entry c.Entry is appended; rec.Born and the Entry's Seq are its position.
	// Descendants of what is replaced or evicted end too, with an ended entry each, ReasonParent.
	// Refused, it changes nothing.
	// If the ID is taken: ErrExists, but for the same rec with the same c.Entry.Op: the first
	// call's result again, so that a retry is safe, also if the record has ended meanwhile: it does
	// not come back. rec.Born and rec.Revision are set in place.
	//
	// Of an entry about one session a store fills in Session, Subject, Actor, Parent and Root from
	// the record. It remembers an Op for as long as the entry is in the log; the zero Op never.
	// Entries that it writes by itself bear the time of the call's entry.
	Create(ctx context.Context, rec *Record, c Creation) (Created, error)

	// Load returns the record, or ErrNotFound if it was never created, has ended or was reaped. It
	// may return one whose time is up; the caller judges. The caller owns what it gets.
	Load(ctx context.Context, id ID) (*Record, error)

	// Update replaces IdleEnd, IdentityKey, ValuesKey, IdentityCount, ValuesCount, Identity, Values,
	// VerifierKey and Epoch of the record with rec.ID if its revision is rec.Revision, and adds one
	// to rec.Revision and the stored one. Another revision: ErrConflict. No record: ErrNotFound, and
	// none comes into being. IdleEnd is only raised, to at most AbsoluteEnd, as by Touch. If changed
	// is not nil it is appended in the same transaction, with Revision set to the new one; the same
	// Op again is the same change: nil, and rec.Revision is what the first call made it.
	Update(ctx context.Context, rec *Record, changed *Entry) error

	// Touch raises Seen and IdleEnd of each record that exists, IdleEnd to at most AbsoluteEnd. It
	// lowers nothing, inserts nothing, leaves Revision alone and passes over unknown IDs. Each touch
	// stands alone: after an error some may be done. A touch need not survive a crash.
	Touch(ctx context.Context, batch []Touch) error

	// Revoke appends e, an entry of a kind that ends, and ends every record that e covers, as
	// [Entry.Ends] says, their descendants included: each descendant that e does not itself cover
	// gets an ended entry of its own, ReasonParent. An ended entry for a session that does not exist
	// is not appended: Count 0, Seq the head. When Revoke returns no Load finds what it ended, no
	// Update of it succeeds, and the log entry is durable if the store is. The same e.Op again, if
	// its entry was appended, changes nothing and returns the first result.
	Revoke(ctx context.Context, e Entry) (Revoked, error)

	// List yields the live and the expired, not yet reaped records of a subject, its own and those
	// in which it is the actor, in no order, each at most once, in time proportional to their
	// number. It ends after yielding an error. Breaking off is allowed and frees everything.
	List(ctx context.Context, subject SubjectHash) iter.Seq2[*Record, error]

	// Scan returns at most max records with IDs above after, in order of ID; fewer than max: there
	// are no more. The zero ID begins. Records that come or go meanwhile may or may not appear.
	Scan(ctx context.Context, after ID, max int) ([]*Record, error)

	// Log returns the entries with Seq > since in order and without gaps, at most max, with the head
	// of the log. max 0 asks for the head alone, whatever since is. An entry never appears at or
	// below a head that was returned earlier. If the log no longer reaches back to since, or since is
	// above the head: ErrGap, with the head.
	Log(ctx context.Context, since uint64, max int) (Page, error)

	// Poll is Log for a node of a cluster: it also registers the node, counts its beat and takes its
	// acknowledgement of the position p.Acked, which never goes back. A fenced node gets ErrFenced and
	// must begin anew under another name with an empty cache. A beat that counts is one that a store
	// which has lost the right to answer could not count.
	Poll(ctx context.Context, p Poll) (Page, error)

	// Nodes returns the nodes that have polled, in any order, those that were fenced since included:
	// until the lease of their last poll is over, somebody may have to wait for them.
	//
	// A store may forget a name, fenced or not, that has not polled for a day. That is safe: a lease
	// lasts a minute at most, so such a node trusts nothing before its next Poll, and that Poll
	// returns all that it missed, or ErrGap, which empties its cache as a fence does.
	Nodes(ctx context.Context) ([]Node, error)

	// Fence shuts a node out: when it returns, every later Poll of that name gets ErrFenced. Fencing
	// again, or a name that never polled, is no error.
	Fence(ctx context.Context, node string) error

	// Acknowledge notes that a named reader has everything up to seq safely kept. The first call
	// registers the reader. Entries that a registered reader has not acknowledged are never trimmed.
	// It never goes back.
	Acknowledge(ctx context.Context, reader string, seq uint64) error

	// Acknowledged returns the position of a named reader, 0 if there is none of that name.
	Acknowledged(ctx context.Context, reader string) (uint64, error)

	// Readers returns the registered readers and the position that each has acknowledged.
	Readers(ctx context.Context) (map[string]uint64, error)

	// Forget strikes a named reader off: it holds back no trimming any more, and Acknowledged says 0. A
	// reader of that name that comes again registers anew. None of that name: nil.
	Forget(ctx context.Context, reader string) error

	// Renew gives the log another incarnation, which every node meets with its next Poll: what stands
	// in the store is not what stood in it before. It changes nothing else.
	Renew(ctx context.Context) error

	// Reap ends at most r.Max records with IdleEnd or AbsoluteEnd at or before r.Before, with an
	// ended entry each, ReasonAbsolute if that end has passed, else ReasonIdle, and their descendants
	// beyond that, ReasonParent; the entries bear the time r.Before. It trims log entries older than
	// r.LogBefore that every reader has acknowledged, from the oldest on. It blocks no other call for
	// long, and several nodes may call it at once: each removal is counted exactly once.
	Reap(ctx context.Context, r Reap) (Reaped, error)

	// Meta returns the small value kept under key, nil if there is none.
	Meta(ctx context.Context, key string) ([]byte, error)

	// SwapMeta sets the value under key to new if it is old (nil: none), else ErrConflict. A nil new
	// removes it. Durable when it returns.
	SwapMeta(ctx context.Context, key string, old, new []byte) error

	// Capabilities says what the store promises. It does no I/O.
	Capabilities() Capabilities

	// Close frees everything and waits for the store's goroutines. Calls after it fail.
	Close() error
}

// Creation is what Store.Create does besides inserting.
type Creation struct {
	Entry    Entry  // the created entry: Kind, Op, Reason, Time and Detail
	Since    uint64 // the position after the log's head before the credential was checked; 0: no check
	Replaces []ID   // sessions that this one supersedes
	Limit    Limit
}

// Limit bounds the live records of one subject and kind.
type Limit struct {
	Max   int // 0: none
	Order Overflow
	Now   time.Time // live means: both ends after Now
}

// Created is what Store.Create did.
type Created struct {
	Seq     uint64 // position of the created entry
	Evicted []ID   // ended by the limit
}

// Revoked is what Store.Revoke did.
type Revoked struct {
	Seq   uint64 // position of the last entry it appended, or the head if none
	Ended []ID   // the records ended, at most [MaxEndedListed] of them
	Count int    // how many were ended; -1 if the store cannot say
}

// MaxEndedListed bounds the list of ended records in an answer.
const MaxEndedListed = 1000

// Touch is one entry of a batch.
type Touch struct {
	ID            ID
	Seen, IdleEnd time.Time
}

// Poll is a node's request for what happened.
type Poll struct {
	Node  string // the node's name, random at each start
	Since uint64 // return entries after this
	Acked uint64 // everything up to this has been applied
	Max   int
}

// Node is what a store knows of a node of a cluster.
type Node struct {
	Name   string
	Acked  uint64 // everything up to this it has applied
	Beat   uint64 // how often it has polled
	Fenced bool   // it cannot poll any more
}

// Page is a piece of the log.
type Page struct {
	Incarnation string // changes when the log is not the same log any more (restore, fail-over)
	Head        uint64
	Floor       uint64 // entries at or below are trimmed
	Entries     []Entry
	Now         time.Time // the store's own clock at a Poll; zero: it has none
}

// Reap says what to remove.
type Reap struct {
	Before    time.Time // records whose idle or absolute end lies at or before this
	LogBefore time.Time // log entries older than this
	Max       int       // records at most
}

// Reaped is what was removed.
type Reaped struct {
	Records int
	Entries int
	More    bool // there is more to remove
}

// Capabilities is what a store promises.
type Capabilities struct {
	Durable      bool // what is acknowledged survives a crash of the process and of the machine
	Linearizable bool // reads see every acknowledged change; false: only usually
	Shared       bool // other managers may write to it too, so values must not be cached

	// Requests is how the text of the [RequestID] of each request that this Store makes begins; "": its
	// requests have none.
	Requests string
}

// Advice is what a store says of the server under it, to whoever operates that. A store that has some
// has a method Advise(ctx) ([]Advice, error).
type Advice struct {
	Says string // what is so, and what it means
	Fix  string // what to change
}

// What a Store says besides "unknown". Match them with errors.Is.
var (
	ErrNotFound   = errors.New("counterfoil: no such record")
	ErrConflict   = errors.New("counterfoil: changed meanwhile")
	ErrExists     = errors.New("counterfoil: record exists")
	ErrGap        = errors.New("counterfoil: the log no longer reaches back that far")
	ErrFenced     = errors.New("counterfoil: this node was fenced; it must join again")
	ErrNoParent   = errors.New("counterfoil: the parent session has ended")
	ErrSuperseded = errors.New("counterfoil: sessions of this subject were ended since its credential was checked; check it again")
	ErrLimit      = errors.New("counterfoil: the subject has too many sessions")
)
