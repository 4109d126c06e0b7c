package signing

import (
	"crypto"
	"errors"
	"fmt"
	"io"

	"rookery"
	"rookery/protocols/outbound/dkim"
	"rookery/storage/command"
	"rookery/storage/system"
)

// signer is what signs for a domain, or why nothing can.
type signer struct {
	version uint64
	dkim.Signer
	err error
}

// Sign implements delivery.Signer: it reads the final bytes of a message and gives
// the DKIM-Signature fields to put before them, an active key each. There are none
// where From is of no domain of the settings, and where its domain has no keys yet.
//
// Errors: KindUnavailable where there are keys that cannot be used now; KindInvalid
// and KindTooLarge for a message that cannot be signed as it is; the reader's.
func (s *Service) Sign(message io.Reader) (fields []byte, err error) {
	header, whole, err := dkim.ReadHeader(message)
	if err != nil {
		return nil, err
	}
	ours := *s.domains.Load()
	domain, err := dkim.SigningDomain(header, func(d string) bool { return ours[d] })
	if errors.Is(err, dkim.ErrUnaligned) {
		s.o.Logger.Debug("a message is not signed", "why", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	by := (*s.signers.Load())[domain]
	switch {
	case by == nil:
		s.o.Logger.Warn("a message is not signed, for its domain has no DKIM keys yet; the node that leads the system group makes them",
			"domain", domain)
		return nil, nil
	case by.err != nil:
		return nil, rookery.E("sign message", rookery.KindUnavailable, by.err)
	}
	return by.Sign(whole, s.o.Clock())
}

// Load opens the keys that this node has not opened yet. An error is that they
// cannot be read; one that cannot be opened keeps its domain's mail waiting.
func (s *Service) Load() error {
	s.loading.Lock()
	defer s.loading.Unlock()
	all, err := s.o.Keys.SigningKeys()
	if err != nil {
		return err
	}
	had, now := *s.signers.Load(), make(map[string]*signer, len(all))
	for _, x := range all {
		if old := had[x.Domain]; old != nil && old.version == x.Version && old.err == nil {
			now[x.Domain] = old
			continue
		}
		opened := s.open(x)
		if opened.err != nil {
			s.o.Logger.Error("a DKIM key cannot be used; mail of its domain to other systems waits", "domain", x.Domain, "error", opened.err)
		}
		if opened.err != nil || len(opened.Keys) > 0 {
			now[x.Domain] = opened
		}
	}
	s.signers.Store(&now)
	return nil
}

// open opens the active keys of a domain.
func (s *Service) open(x system.SigningKeys) *signer {
	by := &signer{version: x.Version, Signer: dkim.Signer{Domain: x.Domain}}
	for _, k := range x.Keys {
		if dkim.State(k.State) != dkim.Active {
			continue
		}
		private, err := s.private(x.Domain, k)
		if err != nil {
			by.err = fmt.Errorf("the DKIM key %s of %s: %w", k.Selector, x.Domain, err)
			return by
		}
		by.Keys = append(by.Keys, dkim.Key{Selector: k.Selector, Private: private})
	}
	by.Keys = by.Keys[:min(len(by.Keys), dkim.MaxKeys)]
	return by
}

func (s *Service) private(domain string, k command.SigningKey) (crypto.Signer, error) {
	der, err := s.o.Sealer.Open(place(domain, k.Selector), k.Sealed)
	if err != nil {
		return nil, err
	}
	return dkim.ParseKey([]byte(der))
}

// place is what a sealed key is bound to.
func place(domain, selector string) string { return "dkim key " + dkim.RecordName(selector, domain) }
