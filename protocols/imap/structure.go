package imap

import (
	"rookery/protocols/imap/wire"
	"rookery/storage/message"
)

// writeEnvelope writes ENVELOPE (RFC 9051 7.5.2).
func writeEnvelope(w *wire.Writer, e *message.Envelope) {
	w.Byte('(').NString(e.Date, e.Has(message.HasDate))
	w.Byte(' ').NString(e.Subject, e.Has(message.HasSubject))
	sender, replyTo := e.Sender, e.ReplyTo
	if len(sender) == 0 {
		sender = e.From
	}
	if len(replyTo) == 0 {
		replyTo = e.From
	}
	for _, list := range [][]message.Address{e.From, sender, replyTo, e.To, e.Cc, e.Bcc} {
		w.Byte(' ')
		writeAddresses(w, list)
	}
	w.Byte(' ').NString(e.InReplyTo, e.Has(message.HasInReplyTo))
	w.Byte(' ').NString(e.MessageID, e.Has(message.HasMessageID)).Byte(')')
}

func writeAddresses(w *wire.Writer, list []message.Address) {
	if len(list) == 0 {
		w.Text("NIL")
		return
	}
	w.Byte('(')
	for i := range list {
		a := &list[i]
		w.Byte('(').NString(a.Name, a.Name != "")
		w.Byte(' ').NString(a.Route, a.Route != "")
		w.Byte(' ').NString(a.Mailbox, a.Mark != message.GroupEnd)
		// A NIL host would say that a group begins or ends here.
		w.Byte(' ').NString(a.Host, a.Mark == message.NoMark).Byte(')')
	}
	w.Byte(')')
}

// writeStructure writes BODYSTRUCTURE, or BODY without the extension data
// (RFC 9051 7.5.2). Sizes and encodings are never NIL: clients fail on it.
func writeStructure(w *wire.Writer, p *message.Part, extended bool) {
	w.Byte('(')
	if len(p.Parts) > 0 {
		for _, c := range p.Parts {
			writeStructure(w, c, extended)
		}
		w.Byte(' ').String(p.Subtype)
		if extended {
			w.Byte(' ')
			writeParams(w, p.Params)
			writeExtension(w, p)
		}
		w.Byte(')')
		return
	}
	w.String(p.Type).Byte(' ').String(p.Subtype).Byte(' ')
	writeParams(w, p.Params)
	w.Byte(' ').NString(p.ID, p.ID != "")
	w.Byte(' ').NString(p.Description, p.Description != "")
	w.Byte(' ').String(p.Encoding)
	w.Byte(' ').Uint(uint64(max(p.Size(), 0)))
	switch {
	case p.Message != nil:
		w.Byte(' ')
		writeEnvelope(w, &p.Message.Envelope)
		w.Byte(' ')
		writeStructure(w, p.Message.Structure, extended)
		w.Byte(' ').Uint(uint64(max(p.Lines, 0)))
	case p.Type == "text":
		w.Byte(' ').Uint(uint64(max(p.Lines, 0)))
	}
	if extended {
		w.Byte(' ').NString(p.MD5, p.MD5 != "")
		writeExtension(w, p)
	}
	w.Byte(')')
}

// writeExtension writes disposition, language and location.
func writeExtension(w *wire.Writer, p *message.Part) {
	if p.Disposition == "" {
		w.Text(" NIL ")
	} else {
		w.Text(" (").String(p.Disposition).Byte(' ')
		writeParams(w, p.DispositionParams)
		w.Text(") ")
	}
	switch len(p.Language) {
	case 0:
		w.Text("NIL")
	case 1:
		w.String(p.Language[0])
	default:
		w.Byte('(')
		for i, l := range p.Language {
			if i > 0 {
				w.Byte(' ')
			}
			w.String(l)
		}
		w.Byte(')')
	}
	w.Byte(' ').NString(p.Location, p.Location != "")
}

func writeParams(w *wire.Writer, params [][2]string) {
	if len(params) == 0 {
		w.Text("NIL")
		return
	}
	w.Byte('(')
	for i, p := range params {
		if i > 0 {
			w.Byte(' ')
		}
		w.String(p[0]).Byte(' ').String(p[1])
	}
	w.Byte(')')
}
