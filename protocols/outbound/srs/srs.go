// Package srs rewrites the sender of forwarded mail, so that SPF passes at the
// next hop and bounces find their way back (the Sender Rewriting Scheme): SRS0
// for a sender of elsewhere, SRS1 for one that another forwarder has rewritten,
// and both back again. It owns the form of those addresses and their hashes.
//
// It is pure: it has no clock and keeps no keys. It never says which mail is
// forwarded, never rewrites the null sender, and never gives back an address that
// it has not written itself with one of its keys, so that nobody can use it to
// send mail to others.
package srs

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"rookery"
)

const (
	// maxLocal is the longest local part in octets (RFC 5321 4.5.3.1.1).
	maxLocal = 64
	// hashLen is the length of a hash in characters of 5 bits. Each one more is
	// one less for the sender's address.
	hashLen = 6
	// minKey is the length of the shortest key in bytes.
	minKey = 16
	// days is after how many days a timestamp comes again.
	days = 32 * 32
	// MaxValidity bounds how long addresses are valid, so that a timestamp means
	// one day.
	MaxValidity = days / 2
)

// What is wrong with an address. They are in the chain of the errors.
var (
	// ErrTooLong is a sender that has no room in a rewritten local part.
	ErrTooLong = errors.New("the rewritten local part is longer than 64 octets")
	// ErrNone is an address that is not rewritten.
	ErrNone = errors.New("the address is none of SRS")
	// ErrForged is one that none of our keys has signed.
	ErrForged = errors.New("the hash is none of ours")
	// ErrExpired is one that is older than addresses are valid.
	ErrExpired = errors.New("the address has expired")
)

// Rewriter rewrites senders into one domain.
type Rewriter struct {
	domain   string
	keys     [][]byte
	validity int
}

// New makes a Rewriter. domain is ours, as A-labels; its SPF record names the
// hosts that forward. keys are the newest first: it signs, all verify; each has
// at least 16 bytes. An address is valid for so many days after its own.
func New(domain string, keys [][]byte, validity int) (*Rewriter, error) {
	fail := func(format string, args ...any) (*Rewriter, error) {
		return nil, rookery.E("rewrite senders", rookery.KindInvalid, fmt.Errorf(format, args...))
	}
	if len(keys) == 0 {
		return fail("there is no key")
	}
	for i, k := range keys {
		if len(k) < minKey {
			return fail("key %d has %d bytes, at least %d", i+1, len(k), minKey)
		}
	}
	if validity < 1 || validity > MaxValidity {
		return fail("addresses would be valid for %d days, want 1 to %d", validity, MaxValidity)
	}
	return &Rewriter{domain, keys, validity}, nil
}

// The tags that local parts begin with.
const (
	srs0 = "SRS0"
	srs1 = "SRS1"
)

// Forward gives the sender for a forwarded message. The null sender and those of
// the Rewriter's own domain stay as they are. Errors: KindInvalid, with
// ErrTooLong where there is no room; the caller then forwards with another sender, or says that it cannot.
func (r *Rewriter) Forward(sender rookery.Address, now time.Time) (rookery.Address, error) {
	if sender == (rookery.Address{}) || sender.Domain == r.domain {
		return sender, nil
	}
	if strings.Contains(sender.Domain, "=") {
		return rookery.Address{}, rookery.E("rewrite a sender", rookery.KindInvalid, fmt.Errorf("%.330q has no domain of the DNS", sender))
	}
	local := r.rewrite(sender, now)
	if len(local) > maxLocal {
		return rookery.Address{}, rookery.E("rewrite a sender", rookery.KindInvalid, fmt.Errorf("%w: %.330q", ErrTooLong, sender))
	}
	return rookery.Address{Local: local, Domain: r.domain}, nil
}

func (r *Rewriter) rewrite(sender rookery.Address, now time.Time) string {
	if rest, ok := tagged(sender.Local, srs0); ok {
		return r.first(sender.Domain, rest)
	}
	if rest, ok := tagged(sender.Local, srs1); ok {
		// Hops between the first forwarder and us are left out: bounces go from us
		// to the first one, which goes on from there.
		if _, first, opaque, ok := splitFirst(rest); ok {
			return r.first(first, opaque)
		}
	}
	stamp := stampOf(day(now))
	return srs0 + "=" + hash(r.keys[0], srs0, stamp, sender.Domain, sender.Local) + "=" + stamp + "=" + sender.Domain + "=" + sender.Local
}

// first is the local part of SRS1: the first forwarder's domain, and what stood
// behind its SRS0, with the separator.
func (r *Rewriter) first(domain, opaque string) string {
	return srs1 + "=" + hash(r.keys[0], srs1, domain, opaque) + "=" + domain + "=" + opaque
}

// Reverse gives the address that a rewritten one, of the Rewriter's domain, stands
// for: the sender's, or that of the first forwarder. Errors: KindNotFound with
// ErrNone for an ordinary address; KindDenied with ErrForged or ErrExpired.
func (r *Rewriter) Reverse(a rookery.Address, now time.Time) (rookery.Address, error) {
	to, err := r.reverse(a, now)
	if err == nil {
		return to, nil
	}
	kind := rookery.KindDenied
	if errors.Is(err, ErrNone) {
		kind = rookery.KindNotFound
	}
	return rookery.Address{}, rookery.E("reverse a rewritten sender", kind, fmt.Errorf("%w: %.330q", err, a))
}

func (r *Rewriter) reverse(a rookery.Address, now time.Time) (to rookery.Address, err error) {
	if a.Domain != r.domain {
		return to, ErrNone
	}
	if rest, ok := tagged(a.Local, srs0); ok {
		return r.original(rest[1:], now)
	}
	rest, ok := tagged(a.Local, srs1)
	if !ok {
		return to, ErrNone
	}
	given, domain, opaque, ok := splitFirst(rest)
	if !ok || !r.signed(given, srs1, domain, opaque) {
		return to, ErrForged
	}
	return address(srs0+opaque, domain)
}

// original reverses what stands behind the separator of SRS0.
func (r *Rewriter) original(rest string, now time.Time) (to rookery.Address, err error) {
	parts := strings.SplitN(rest, "=", 4)
	if len(parts) != 4 || !r.signed(parts[0], srs0, parts[1], parts[2], parts[3]) {
		return to, ErrForged
	}
	written, ok := readStamp(parts[1])
	if !ok {
		return to, ErrForged
	}
	// A day before or after: nodes' clocks differ.
	if age := (day(now) - written + days) % days; age > r.validity && age != days-1 {
		return to, ErrExpired
	}
	return address(parts[3], parts[2])
}

// address is the address given back. What one of our keys has signed was one when
// it was rewritten; on the way it may have changed in case alone.
func address(local, domain string) (rookery.Address, error) {
	domain, err := rookery.NormalDomain(domain)
	if err != nil || local == "" {
		return rookery.Address{}, ErrForged
	}
	return rookery.Address{Local: local, Domain: domain}, nil
}

// tagged cuts the tag, in any case, off a local part. What is left begins with
// the separator, which may be =, - or +.
func tagged(local, tag string) (rest string, ok bool) {
	if len(local) <= len(tag)+1 || !strings.EqualFold(local[:len(tag)], tag) {
		return "", false
	}
	rest = local[len(tag):]
	return rest, strings.IndexByte("=-+", rest[0]) >= 0
}

// splitFirst cuts what stands behind SRS1 into hash, domain of the first
// forwarder, and what stood behind its SRS0.
func splitFirst(rest string) (hash, domain, opaque string, ok bool) {
	hash, rest, ok = strings.Cut(rest[1:], "=")
	domain, opaque, more := strings.Cut(rest, "=")
	_, err := rookery.NormalDomain(domain)
	ok = ok && more && err == nil && len(opaque) > 1 && strings.IndexByte("=-+", opaque[0]) >= 0
	return hash, domain, opaque, ok
}

// signed says whether one of the keys gives the hash, in any case. It takes the
// same time for each.
func (r *Rewriter) signed(given string, parts ...string) bool {
	match := 0
	for _, key := range r.keys {
		match |= subtle.ConstantTimeCompare([]byte(lower(given)), []byte(lower(hash(key, parts...))))
	}
	return match == 1
}

var alphabet = base32.StdEncoding.WithPadding(base32.NoPadding)

// hash covers the parts without regard to case, which hosts on the way change.
func hash(key []byte, parts ...string) string {
	mac := hmac.New(sha256.New, key)
	for _, p := range parts {
		fmt.Fprintf(mac, "%d:%s", len(p), lower(p))
	}
	return alphabet.EncodeToString(mac.Sum(nil))[:hashLen]
}

// lower folds US-ASCII alone, as hosts on the way do: no octet count changes.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// day is the number of a day, in the range of timestamps.
func day(now time.Time) int {
	d := int(now.Unix() / 86400 % days)
	return (d + days) % days
}

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

func stampOf(day int) string { return string([]byte{digits[day>>5], digits[day&31]}) }

func readStamp(s string) (day int, ok bool) {
	if len(s) != 2 {
		return 0, false
	}
	s = strings.ToUpper(s)
	high, low := strings.IndexByte(digits, s[0]), strings.IndexByte(digits, s[1])
	return high<<5 | low, high >= 0 && low >= 0
}
