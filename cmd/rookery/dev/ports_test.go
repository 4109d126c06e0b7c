package dev

import "testing"

func TestPortsOfNodes(t *testing.T) {
	p, err := choosePorts(0, 3)
	if err != nil || p[0].smtp != 2525 || p[2].imaps != 22993 {
		t.Errorf("default ports %+v, %v", p, err)
	}
	p, err = choosePorts(15000, 2)
	if err != nil || p[0].smtp != 15000 || p[1].smtp != 15100 || p[0].ldap != 15007 {
		t.Errorf("packed ports %+v, %v", p, err)
	}
}
