package publish

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"rookery"
)

// Exchanger is one published MX record.
type Exchanger struct {
	Preference uint16
	Host       string // A-labels in lower case, without a trailing dot
}

// ErrNullMX is in the chain of a Resolver's error where the domain publishes that
// it takes no mail (RFC 7505).
var ErrNullMX = errors.New("the domain publishes that it takes no mail (null MX)")

// Resolver asks the DNS. All fail with KindNotFound where there is no such
// record, and with another kind where nothing can be said.
type Resolver interface {
	MX(ctx context.Context, domain string) ([]Exchanger, error)
	// Addresses gives the A records of a host, or its AAAA records.
	Addresses(ctx context.Context, host string, six bool) ([]netip.Addr, error)
	// TXT gives texts with their strings joined.
	TXT(ctx context.Context, name string) ([]string, error)
	PTR(ctx context.Context, address netip.Addr) ([]string, error)
}

// Verdict is how what is published compares.
type Verdict uint8

// The verdicts.
const (
	CannotSay Verdict = iota // the DNS gave no answer, or one that cannot be judged
	Present
	Missing
	Different
)

var verdictNames = [...]string{"cannot say", "present", "missing", "different"}

// String is the verdict as operators see it.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// Result is what became of one record.
type Result struct {
	Record  Record
	Verdict Verdict
	// Published is what is there, at most maxShown values, cut and cleaned.
	Published []string
	// Note says what is different, or why nothing can be said.
	Note string
}

const (
	maxShown = 10
	maxValue = 512 // bytes shown of one value
)

// Compare looks for each record.
func Compare(ctx context.Context, records []Record, r Resolver) []Result {
	results := make([]Result, 0, len(records))
	for _, want := range records {
		results = append(results, compare(ctx, want, r))
	}
	return results
}

func compare(ctx context.Context, want Record, r Resolver) Result {
	published, err := want.look(ctx, r)
	result := Result{Record: want, Published: shown(published)}
	switch {
	case errors.Is(err, ErrNullMX):
		result.Verdict, result.Note = Different, ErrNullMX.Error()
	case rookery.Is(err, rookery.KindNotFound):
		result.Verdict = Missing
	case err != nil:
		result.Verdict, result.Note = CannotSay, err.Error()
	default:
		result.Verdict, result.Note = want.judge(published)
	}
	return result
}

// look gives what is published, in the form of Record.Values.
func (r Record) look(ctx context.Context, from Resolver) (values []string, err error) {
	switch r.Type {
	case MX:
		list, err := from.MX(ctx, r.Name)
		for _, mx := range list {
			values = append(values, fmt.Sprintf("%d %s", mx.Preference, mx.Host))
		}
		return values, err
	case A, AAAA:
		list, err := from.Addresses(ctx, r.Name, r.Type == AAAA)
		for _, a := range list {
			values = append(values, a.Unmap().String())
		}
		return values, err
	case PTR:
		return from.PTR(ctx, r.addresses[0])
	}
	return from.TXT(ctx, r.Name)
}

// shown are values for people: texts of others hold any octets.
func shown(values []string) (list []string) {
	for i, v := range values {
		if i == maxShown {
			return append(list, fmt.Sprintf("and %d more", len(values)-maxShown))
		}
		v = strings.ToValidUTF8(v[:min(len(v), maxValue)], "?")
		list = append(list, strings.Map(func(r rune) rune {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
				return '?'
			}
			return r
		}, v))
	}
	return list
}

// judge compares what is published with what is wanted.
func (r Record) judge(published []string) (Verdict, string) {
	switch r.purpose {
	case forMail:
		return sameSet(hostsOf(r.Values), hostsOf(published))
	case forAddress:
		return sameSet(r.Values, published)
	case forPointer:
		if slices.ContainsFunc(published, func(name string) bool { return strings.EqualFold(name, r.Values[0]) }) {
			return Present, ""
		}
		return Different, "the address points to another name"
	case forSPF:
		return r.judgeSPF(published, "mx")
	case forHello:
		return r.judgeSPF(published, "a")
	}
	return r.judgeTags(published)
}

// hostsOf are the hosts of MX values: their preferences are the domain's choice.
func hostsOf(values []string) (hosts []string) {
	for _, v := range values {
		_, host, _ := strings.Cut(v, " ")
		hosts = append(hosts, strings.ToLower(host))
	}
	return hosts
}

func sameSet(want, have []string) (Verdict, string) {
	lack, more := without(want, have), without(have, want)
	switch {
	case len(lack) == 0 && len(more) == 0:
		return Present, ""
	case len(lack) == 0:
		return Different, "none of ours: " + strings.Join(shown(more), ", ")
	case len(more) == 0:
		return Different, "missing: " + strings.Join(lack, ", ")
	}
	return Different, "missing: " + strings.Join(lack, ", ") + "; none of ours: " + strings.Join(shown(more), ", ")
}

// without are the values of a that b has not.
func without(a, b []string) (list []string) {
	for _, v := range a {
		if !slices.Contains(b, v) {
			list = append(list, v)
		}
	}
	return list
}
