package dkim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
)

// milter speaks as a mail server to a filter, as far as a test needs it
// (libmilter, mfdef.h, protocol version 6).
type milter struct{ conn net.Conn }

func dialMilter(socket string) (*milter, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	m := &milter{conn}
	// Version 6, all actions; no skipped events, so that each gets its answer.
	if err := m.send('O', binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 6}, 0x1ff), 0)); err != nil {
		return nil, err
	}
	if code, _, err := m.receive(); err != nil || code != 'O' {
		return nil, fmt.Errorf("negotiation: %c, %w", code, err)
	}
	return m, m.event('C', "localhost\x00U") // of an unknown family
}

func (m *milter) send(code byte, data []byte) error {
	p := binary.BigEndian.AppendUint32(nil, uint32(1+len(data)))
	_, err := m.conn.Write(append(append(p, code), data...))
	return err
}

func (m *milter) receive() (code byte, data []byte, err error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(m.conn, head); err != nil {
		return 0, nil, err
	}
	data = make([]byte, binary.BigEndian.Uint32(head)-1)
	_, err = io.ReadFull(m.conn, data)
	return head[4], data, err
}

// event sends one event that lets the message go on.
func (m *milter) event(code byte, data string) error {
	if err := m.send(code, []byte(data)); err != nil {
		return err
	}
	answer, text, err := m.receive()
	if err == nil && answer != 'c' {
		err = fmt.Errorf("event %c is answered %c %q", code, answer, text)
	}
	return err
}

// results hands a message over as SMTP would have carried it, and gives the
// Authentication-Results that the filter adds.
func (m *milter) results(message []byte) (results string, err error) {
	block, body, _ := bytes.Cut(message, blankLine)
	if err := m.event('M', "<alice@example.com>\x00"); err != nil {
		return "", err
	}
	if err := m.event('R', "<bob@example.org>\x00"); err != nil {
		return "", err
	}
	fields, err := splitHeader(block)
	if err != nil {
		return "", err
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(string(f.text), ":")
		value = strings.ReplaceAll(strings.TrimPrefix(value, " "), "\r\n", "\n")
		if err := m.event('L', strings.TrimRight(name, " \t")+"\x00"+value+"\x00"); err != nil {
			return "", err
		}
	}
	if err := m.event('N', ""); err != nil {
		return "", err
	}
	if len(body) > 0 && !bytes.HasSuffix(body, crlf) {
		body = append(bytes.Clone(body), crlf...) // SMTP has no line without an end
	}
	for len(body) > 0 {
		n := min(len(body), 65535)
		if err := m.event('B', string(body[:n])); err != nil {
			return "", err
		}
		body = body[n:]
	}
	if err := m.send('E', nil); err != nil {
		return "", err
	}
	for {
		code, data, err := m.receive()
		switch {
		case err != nil:
			return "", err
		case code == 'i' || code == 'h':
			results += string(data)
		case code == 'a' || code == 'c':
			return results, m.send('A', nil)
		default:
			return "", fmt.Errorf("the end is answered %c %q", code, data)
		}
	}
}
