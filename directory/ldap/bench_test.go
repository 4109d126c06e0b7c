package ldap

import (
	"fmt"
	"testing"

	"rookery"
	"rookery/directory/embedded"
)

func benchmarkDirectory(b *testing.B, d *Directory) {
	const people = 500
	var addrs []rookery.Address
	for i := range people {
		addrs = append(addrs, address(b, fmt.Sprintf("alias%d@example.test", i)))
	}
	b.Run("Recipient", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, err := d.Recipient(b.Context(), addrs[i%people]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("Authenticate", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, err := d.Authenticate(b.Context(), fmt.Sprintf("u%04d", i%people), "secret"); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

func BenchmarkEmbedded(b *testing.B) {
	var more []embedded.User
	for i := range 500 {
		more = append(more, embedded.User{UID: fmt.Sprintf("u%04d", i), Password: "secret",
			Mail: fmt.Sprintf("u%04d@example.test", i), Aliases: []string{fmt.Sprintf("alias%d@example.test", i)}})
	}
	s := inProcess(b, embedded.Options{}, more...)
	benchmarkDirectory(b, openDirectory(b, embeddedConfig(s)))
}

func BenchmarkSlapd(b *testing.B) {
	s := startSlapd(b, 500)
	b.Run("plain", func(b *testing.B) { benchmarkDirectory(b, openDirectory(b, s.config())) })
	b.Run("indexed", func(b *testing.B) {
		c := s.config()
		c.Attributes.Aliases = []string{"mailAlternateAddress"} // mailAlias has no index there
		benchmarkDirectory(b, openDirectory(b, c))
	})
	b.Run("LDAPS", func(b *testing.B) {
		c := s.config()
		c.URLs, c.CAFile = []string{s.tlsURL()}, s.ca()
		benchmarkDirectory(b, openDirectory(b, c))
	})
}
