package mailbox

import (
	"encoding/binary"
	"slices"

	"rookery"
)

// email loads an email; nil where there is none.
func (w *work) email(a rookery.AccountID, id rookery.EmailID) *email {
	v := w.Get(emailKey(a, id))
	if v == nil {
		return nil
	}
	e, err := decodeEmail(v)
	must(err)
	return e
}

// refEmail counts one more row or recoverable entry of an email.
func (w *work) refEmail(a rookery.AccountID, id rookery.EmailID) *email {
	e := w.email(a, id)
	if e == nil {
		panic(damaged("email"))
	}
	e.refs++
	w.Set(emailKey(a, id), e.encode())
	return e
}

// unrefEmail counts one less; with the last the email goes, and with it its
// thread tokens and its reference to the body.
func (w *work) unrefEmail(a rookery.AccountID, id rookery.EmailID) {
	e := w.email(a, id)
	if e == nil {
		panic(damaged("email"))
	}
	if e.refs--; e.refs > 0 {
		w.Set(emailKey(a, id), e.encode())
		return
	}
	w.Delete(emailKey(a, id))
	for _, t := range e.tokens {
		w.unrefToken(a, t)
	}
	w.unrefBody(e.body)
}

// followEmail drops the reference to a body of a content that goes.
func (w *work) followEmail(_ rookery.AccountID, _ key, old, v []byte) {
	if old != nil && v == nil {
		e, err := decodeEmail(old)
		must(err)
		w.unrefBody(e.body)
	}
}

// thread finds the conversation a message belongs to, or starts one, and
// lets its tokens lead there. The best known token decides; a message that
// joins two conversations does not merge them (RFC 8474 3: THREADID never
// changes).
func (w *work) thread(a rookery.AccountID, id rookery.EmailID, tokens [][8]byte) (rookery.ThreadID, [][8]byte) {
	if len(tokens) > MaxTokens {
		tokens = tokens[:MaxTokens]
	}
	thread := rookery.ThreadID(id)
	distinct, records := w.tokens(a, tokens)
	for _, v := range records {
		if len(v) > 16 {
			copy(thread[:], v)
			break
		}
	}
	w.bind(a, thread, distinct, records)
	return thread, distinct
}

// tokens reads where tokens lead, each once.
func (w *work) tokens(a rookery.AccountID, tokens [][8]byte) (distinct [][8]byte, records [][]byte) {
	distinct = make([][8]byte, 0, len(tokens))
	records = make([][]byte, 0, len(tokens))
	for _, t := range tokens {
		if !slices.Contains(distinct, t) {
			distinct, records = append(distinct, t), append(records, w.Get(tokenKey(a, t)))
		}
	}
	return distinct, records
}

// bind lets the tokens of a message lead to its conversation, those that lead
// nowhere yet.
func (w *work) bind(a rookery.AccountID, thread rookery.ThreadID, tokens [][8]byte, records [][]byte) {
	for i, t := range tokens {
		refs, owner := uint64(0), thread
		if v := records[i]; len(v) > 16 {
			refs, _ = binary.Uvarint(v[16:])
			copy(owner[:], v)
		}
		w.Set(tokenKey(a, t), binary.AppendUvarint(append(make([]byte, 0, 18), owner[:]...), refs+1))
	}
}

func (w *work) unrefToken(a rookery.AccountID, t [8]byte) {
	v := w.Get(tokenKey(a, t))
	if len(v) <= 16 {
		return // the account was erased
	}
	refs, n := binary.Uvarint(v[16:])
	if n <= 0 || refs <= 1 {
		w.Delete(tokenKey(a, t))
		return
	}
	w.Set(tokenKey(a, t), binary.AppendUvarint(v[:16], refs-1))
}

func checkEmail(_, v []byte) error {
	_, err := decodeEmail(v)
	return err
}

func checkToken(_, v []byte) error {
	if len(v) <= 16 {
		return damaged("token")
	}
	if _, n := binary.Uvarint(v[16:]); n <= 0 {
		return damaged("token")
	}
	return nil
}

// portable is a content as it travels: bodies have other ids elsewhere.
func portable(v []byte) ([]byte, error) {
	e, err := decodeEmail(v)
	if err != nil {
		return nil, err
	}
	e.body = 0
	return e.encode(), nil
}
