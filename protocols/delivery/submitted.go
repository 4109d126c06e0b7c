package delivery

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"

	"rookery"
	"rookery/protocols/delivery/spool"
	"rookery/protocols/outbound/sevenbit"
)

// Signer signs what this system sends to others.
type Signer interface {
	// Sign reads a message as others will get it, and gives the header fields to put
	// before it: whole lines with CRLF, none where it is not to be signed. An error
	// keeps the message from being taken.
	Sign(message io.Reader) ([]byte, error)
}

// finish makes the last edits of a judged message and signs it. done gives back what
// that took, once the message is filed.
func (d *Deliverer) finish(ctx context.Context, r *Request) (done func(), err error) {
	done = func() {
		if r.rewritten {
			r.Spool.Close()
		}
	}
	if r.Submitted {
		err = d.edit(ctx, r)
	}
	if err == nil && len(r.Remote) > 0 && (r.Submitted || r.Tells != nil) {
		err = d.sign(r)
	}
	return done, err
}

// edit takes out what tells of hidden recipients and, where the message goes to
// other systems, brings it to 7 bit, which all of them take: those who know no
// 8BITMIME (RFC 6152) as well as gateways that convert and so break signatures.
func (d *Deliverer) edit(ctx context.Context, r *Request) error {
	given := r.Spool
	hidden, err := reading(r.Spool, hasBcc)
	if err == nil && hidden {
		err = d.rewrite(r, func(w io.Writer) error {
			_, err := reading(given, func(m io.Reader) (bool, error) { return withoutBcc(w, m) })
			return err
		})
	}
	if err != nil || len(r.Remote) == 0 {
		return err
	}
	if clean, err := reading(r.Spool, isSevenBit); err != nil || clean {
		return err
	}
	from := r.Spool
	err = d.rewrite(r, func(w io.Writer) error {
		_, err := sevenbit.Convert(w, from.ReaderAt(), from.Size())
		return err
	})
	if errors.Is(err, sevenbit.ErrSealed) || errors.Is(err, sevenbit.ErrHeader) || errors.Is(err, sevenbit.ErrStructure) {
		d.o.Logger.DebugContext(ctx, "a message stays as it is: it cannot be brought to 7 bit", "id", r.ID, "why", err)
		return nil
	}
	return err
}

// rewrite puts what write writes in the place of the message. On an error the
// message stays.
func (d *Deliverer) rewrite(r *Request, write func(io.Writer) error) error {
	// What was taken may grow: the sender has kept to the limit.
	next := spool.New(spool.Options{Dir: d.o.TempDir, Budget: d.spools, Spare: d.spare})
	err := write(next)
	if err == nil {
		err = next.Finish()
	}
	if err != nil {
		next.Close()
		return rookery.E("make the final message", rookery.KindUnknown, err)
	}
	if r.rewritten {
		r.Spool.Close()
	}
	r.Spool, r.rewritten = next, true
	return nil
}

// reading asks something of a spool's message.
func reading(s *spool.Spool, ask func(io.Reader) (bool, error)) (bool, error) {
	m, err := s.Open()
	if err != nil {
		return false, err
	}
	defer m.Close()
	return ask(m)
}

// isSevenBit reports whether a message is US-ASCII in lines of at most 998 octets
// (RFC 5322 2.1.1).
func isSevenBit(m io.Reader) (bool, error) {
	const most = 998 + 1 // with its CR
	buf := make([]byte, 32<<10)
	line := 0 // octets of it before buf
	for {
		n, err := m.Read(buf)
		p := buf[:n]
		if slices.ContainsFunc(p, func(c byte) bool { return c >= 0x80 }) {
			return false, nil
		}
		for {
			end := bytes.IndexByte(p, '\n')
			if end < 0 {
				break
			}
			if line+end > most {
				return false, nil
			}
			line, p = 0, p[end+1:]
		}
		if line += len(p); line > most {
			return false, nil
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// sign puts the signatures before all that others get: behind the Return-Path,
// which does not leave this system.
func (d *Deliverer) sign(r *Request) error {
	if d.o.Signer == nil {
		return nil
	}
	m, err := r.Spool.Open()
	if err != nil {
		return err
	}
	defer m.Close()
	cut := returnPath(r.Trace)
	fields, err := d.o.Signer.Sign(io.MultiReader(bytes.NewReader(r.Trace[cut:]), m))
	if err != nil {
		return rookery.E("sign message", rookery.KindUnknown, err)
	}
	r.Trace = slices.Concat(r.Trace[:cut], fields, r.Trace[cut:])
	return nil
}

// returnPath is the length of a Return-Path field at the beginning of a header.
func returnPath(head []byte) int {
	name := []byte("Return-Path:")
	if len(head) < len(name) || !bytes.EqualFold(head[:len(name)], name) {
		return 0
	}
	return bytes.IndexByte(head, '\n') + 1
}
