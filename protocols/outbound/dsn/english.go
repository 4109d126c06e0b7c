package dsn

// english are the phrases in English.
var english = language{
	intro:     "This is the mail system at {host}. Here is what became of a message that you sent:",
	subject:   "Subject:",
	sent:      "Accepted:",
	messageID: "Message-ID:",
	heads: [actionEnd]string{
		Failed:  "NOT DELIVERED, and not tried again. The message could not be delivered to:",
		Delayed: "DELAYED, and still being tried. The message has not been delivered yet to:",
		Delivered: "DELIVERED, which does not mean that it has been read. " +
			"The message has been filed in the mailbox of:",
		Relayed: "RELAYED. You may hear no more of it: the next mail server sends no confirmation. " +
			"That server has taken the message for:",
		Expanded: "DELIVERED TO A LIST. You will not be told about each of its members. " +
			"The message has been passed on to the members of:",
	},
	original:    "(you wrote to {address})",
	answered:    "The answer of {host} was:",
	someHost:    "the other mail server",
	reason:      "Reason:",
	took:        "Taken by {host}.",
	connection:  "Connection:",
	lastAttempt: "Last attempt:",
	toDo:        "What to do:",
	wait: "Nothing. Delivery is tried until {time}; please do not send the message again. " +
		"You will be told if it fails for good.",
	waitOpen: "Nothing. Delivery goes on being tried; please do not send the message again. You will be told if it fails for good.",
	advice: [topicEnd]string{
		topicOther: "The text above says why. If it does not help you, reach the recipient in another way.",
		topicAddress: "The address does not exist there. Look for a mistake in it and send the message again, " +
			"or reach the recipient in another way.",
		topicDomain: "The part of the address behind the @ does not exist or takes no mail. Look for a mistake in it.",
		topicInactive: "The recipient's mailbox exists but is not in use at present. " +
			"Reach the recipient in another way.",
		topicFull: "The recipient's mailbox is full. Tell the recipient in another way, and send the message again later.",
		topicLarge: "The message is larger than the recipient's server allows. " +
			"Send it again with smaller attachments, or share the files by a link.",
		topicUnreachable: "The recipient's mail server could not be reached, or did not answer in time. " +
			"Send the message again later; if it fails again, reach the recipient in another way.",
		topicPolicy: "The recipient's server refuses this message by its own rules; the text above says why. " +
			"The recipient, or those who run that server, can change this.",
		topicContent: "The recipient's server cannot take what is in the message. " +
			"Send it again in another form, for example as plain text.",
		topicTLS: "A protected (encrypted) connection to the recipient's server is required, by its own domain or by your " +
			"administrator, and it could not be made: so the message was not sent. Tell your administrator, and send the " +
			"message again later.",
	},
	help: "If you need help, send this whole message on to <{address}>. The parts below are the report for programs " +
		"and what is returned of your message.",
	time: "2006-01-02 15:04 -0700",
}
