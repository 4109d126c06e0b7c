package settings

import (
	_ "embed"
	"strconv"
	"strings"

	"rookery"
	"rookery/storage/command"
)

//go:embed submission.go
var submissionSource string

// Submission bounds what users send to other systems.
type Submission struct {
	// RecipientsAnHour is the most recipients in other systems that an account has in
	// an hour; past it its program is told when it goes again. 0 is no bound.
	RecipientsAnHour int `toml:"recipients_an_hour" effect:"with the next message"`
	// RecipientsOf are other bounds for senders of some domains, like
	// "news.example.com=20000".
	RecipientsOf []string `toml:"recipients_of" effect:"with the next message"`
	// Surprise is how many more recipients in an hour than is usual for an account are
	// unusual; what it sends to other systems is then held until an administrator
	// releases it. 0 holds nothing.
	Surprise int `toml:"surprise" effect:"with the next message"`
}

// DefaultSubmission is what keys that are left out mean.
func DefaultSubmission() Submission {
	return Submission{RecipientsAnHour: 1000, RecipientsOf: []string{}, Surprise: 100}
}

// mostAnHour bounds the bounds.
const mostAnHour = 100_000_000

func (s *Submission) validate(bad report) {
	if s.RecipientsAnHour < 0 || s.RecipientsAnHour > mostAnHour {
		bad("submission.recipients_an_hour", "%d is out of range; set it between 0 and %d", s.RecipientsAnHour, mostAnHour)
	}
	if s.Surprise < 0 || s.Surprise > mostAnHour {
		bad("submission.surprise", "%d is out of range; set it between 0 and %d", s.Surprise, mostAnHour)
	}
	for _, x := range s.RecipientsOf {
		if _, _, ok := parseRecipientsOf(x); !ok {
			bad("submission.recipients_of", "%q is no bound of a domain; write it like news.example.com=20000", x)
		}
	}
}

func parseRecipientsOf(s string) (domain string, most int, ok bool) {
	domain, text, ok := strings.Cut(s, "=")
	most, err := strconv.Atoi(text)
	if !ok || err != nil || most < 0 || most > mostAnHour {
		return "", 0, false
	}
	domain, err = rookery.NormalDomain(domain)
	return domain, most, err == nil
}

// Rate is what an account may send with an address of a domain.
func (s *Submission) Rate(domain string) command.Rate {
	r := command.Rate{Most: uint32(s.RecipientsAnHour), Surprise: uint32(s.Surprise)}
	domain, _ = rookery.NormalDomain(domain)
	for _, x := range s.RecipientsOf {
		if d, most, ok := parseRecipientsOf(x); ok && d == domain {
			r.Most = uint32(most)
		}
	}
	return r
}
