package command

import "golang.org/x/text/unicode/norm"

// NormalName brings a mailbox name into the form in which names are stored
// and compared: Unicode normal form C. It runs where a command is proposed
// and where a name is looked up, never inside a state machine: replicas of
// different versions may know different Unicode tables. Rules of names are
// enforced by the machine.
func NormalName(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return norm.NFC.String(s)
		}
	}
	return s
}
