package settings

// Attributes say where a directory keeps what, where it is elsewhere than the
// profile says. Empty ones are the profile's.
type Attributes struct {
	// Key names an entry for ever. Another one makes every account a new one.
	Key string `toml:"key"`
	// Login holds the attributes of bare user names.
	Login []string `toml:"login"`
	// Principal holds the attributes of user@domain logins that are not mail addresses.
	Principal []string `toml:"principal"`
	// Name holds the attributes of the display name, the best one first.
	Name []string `toml:"name"`
	// Mail holds the address; its first value is the primary one.
	Mail string `toml:"mail"`
	// Aliases hold further addresses. Each must be indexed for equality.
	Aliases []string `toml:"aliases"`
	// Proxy holds addresses as smtp:alias and SMTP:primary.
	Proxy string `toml:"proxy"`
	// Quota holds attributes with their units, the best one first, like "mailQuota:KiB".
	Quota []string `toml:"quota"`
	// Forward holds attributes with addresses to send mail on to.
	Forward []string `toml:"forward"`
	// Host names the attribute with the system that has the mailbox.
	Host string `toml:"host"`
	// AddressLogin is "no" where addresses are not for signing in.
	AddressLogin string `toml:"address_login"`
}
