package imap

import (
	"time"

	"rookery/protocols/imap/wire"
)

// Limits bound what clients may cost. Zero fields take the default given.
type Limits struct {
	// Handshake is the time for the TLS handshake (20 s).
	Handshake time.Duration
	// SignIn is the time from the greeting until a client has signed in
	// (60 s).
	SignIn time.Duration
	// Inactive is how long a signed-in client may be silent (31 min; RFC 9051
	// 5.4 asks for 30 at least). IDLE is exempt.
	Inactive time.Duration
	// Keepalive is the interval of "* OK Still here" in IDLE (2 min).
	Keepalive time.Duration
	// Command is the time to send the rest of a command line once begun, and
	// the grace before MinRate counts for literals (60 s).
	Command time.Duration
	// MinRate is the least speed of a literal in octets per second (1 KiB).
	MinRate int64
	// Write is the time a client may take to accept one buffer of output
	// (3 min).
	Write time.Duration
	// Run is the time for a command, but for IDLE, FETCH, SEARCH and the
	// sending of APPEND's message (60 s).
	Run time.Duration
	// Search is the time for a SEARCH (2 min).
	Search time.Duration

	// Before are the limits of commands before sign-in (40 KiB lines with
	// 2 literals of 4 KiB together, 64 KiB drained). The line must hold a SASL
	// initial response, and an ID of 30 fields (RFC 2971 3.3).
	Before wire.Limits
	// After are those afterwards (128 KiB lines with 1,000 literals of 256
	// KiB together, 512 KiB drained).
	After wire.Limits
	// SearchKeys is the number of keys of one SEARCH (2,000), SearchDepth
	// how deep they nest (32).
	SearchKeys, SearchDepth int
	// SearchTexts is the number of BODY and TEXT keys among them (32),
	// SearchHeaders of keys that read header fields (100), SearchSets of sets
	// of messages (100). SearchString is the octets of one string (4 KiB).
	SearchTexts, SearchHeaders, SearchSets, SearchString int
	// Patterns is the number of patterns in one LIST (100), PatternSize the
	// octets of one (1,024), PatternsSize those of all with the reference
	// before each (4 KiB).
	Patterns, PatternSize, PatternsSize int
	// FetchItems is the number of items in one FETCH (64).
	FetchItems int
	// BadCommands is how many BAD answers in a row end a session (20; 4
	// before sign-in).
	BadCommands int
}

func (l Limits) withDefaults() Limits {
	def(&l.Handshake, 20*time.Second)
	def(&l.SignIn, time.Minute)
	def(&l.Inactive, 31*time.Minute)
	def(&l.Keepalive, 2*time.Minute)
	def(&l.Command, time.Minute)
	def(&l.MinRate, 1<<10)
	def(&l.Write, 3*time.Minute)
	def(&l.Run, time.Minute)
	def(&l.Search, 2*time.Minute)
	def(&l.Before.Line, 40<<10)
	def(&l.Before.Literal, 4<<10)
	def(&l.Before.Literals, 2)
	def(&l.Before.Drain, 64<<10)
	def(&l.After.Line, 128<<10)
	def(&l.After.Literal, 256<<10)
	def(&l.After.Literals, 1000)
	def(&l.After.Drain, 512<<10)
	def(&l.SearchKeys, 2000)
	def(&l.SearchDepth, 32)
	def(&l.SearchTexts, 32)
	def(&l.SearchHeaders, 100)
	def(&l.SearchSets, 100)
	def(&l.SearchString, 4<<10)
	def(&l.Patterns, 100)
	def(&l.PatternSize, 1<<10)
	def(&l.PatternsSize, 4<<10)
	def(&l.FetchItems, 64)
	def(&l.BadCommands, 20)
	return l
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
