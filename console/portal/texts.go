package portal

// texts are those of a language.
type texts struct {
	lang, title, date, from, author, to, why, reference, button string
	say                                                         [Failed + 1]string
}

func textsOf(language string) *texts {
	if language == "de" {
		return &texts{lang: "de", title: "Nachricht in Quarantäne", date: "Datum", from: "Absender (Umschlag)", author: "Absender (angezeigt)", to: "Empfänger", why: "Grund", reference: "Referenz", button: "Zustellen",
			say: [...]string{
				Unknown:   "Dieser Link ist nicht gültig.",
				Ready:     "Absender sind leicht zu fälschen. Soll diese Nachricht zugestellt werden?",
				Released:  "Diese Nachricht wurde freigegeben: Sie ist in Ihrem Postfach oder auf dem Weg dorthin.",
				Expired:   "Dieser Link ist abgelaufen. Fragen Sie Ihren Administrator.",
				Forbidden: "Diese Nachricht kann nur Ihr Administrator freigeben. Nennen Sie ihm die Referenz.",
				Gone:      "Diese Nachricht ist nicht mehr in Quarantäne.",
				Busy:      "Diese Nachricht wird gerade bearbeitet. Versuchen Sie es gleich noch einmal.",
				Failed:    "Diese Nachricht konnte jetzt nicht zugestellt werden. Versuchen Sie es später noch einmal."}}
	}
	return &texts{lang: "en", title: "Message in quarantine", date: "Date", from: "From (envelope)", author: "From (shown)", to: "To", why: "Reason", reference: "Reference", button: "Deliver it",
		say: [...]string{
			Unknown:   "This link is not valid.",
			Ready:     "A sender is easily forged. Do you want this message delivered?",
			Released:  "This message has been released: it is in your mailbox, or on its way there.",
			Expired:   "This link has expired. Ask your administrator.",
			Forbidden: "Only your administrator can release this message. Give the reference.",
			Gone:      "This message is no longer in quarantine.",
			Busy:      "Somebody is at work on this message. Try again in a moment.",
			Failed:    "This message could not be delivered now. Try again later."}}
}
