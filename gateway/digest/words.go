package digest

import "gatepost/gateway/quarantine"

// words are those of a language.
type words struct {
	one, many             string // the subject, of one message and of several
	intro                 string
	date, envelope, shown string
	why, reference        string
	release, ask, more    string
	until, close          string
	null, layout          string
	class                 map[quarantine.Class]string
}

// Languages returns those that a digest can be written in.
func Languages() []string { return []string{"en", "de"} }

func wordsOf(language string) *words {
	if language == "de" {
		return &words{one: "1 Nachricht in Quarantäne", many: "%d Nachrichten in Quarantäne",
			intro: "Diese Nachrichten an %s wurden nicht zugestellt, weil sie bedenklich sind. Jede wird nur einmal gemeldet.",
			date:  "Datum", envelope: "Absender (Umschlag)", shown: "Absender (angezeigt)", why: "Grund", reference: "Referenz",
			release: "Zustellen", ask: "Fragen Sie Ihren Administrator und nennen Sie die Referenz.", more: "und %d weitere; Ihr Administrator kann sie zeigen.",
			until: "Die Links gelten bis %s, jeder einmal. Was nicht zugestellt wird, wird nach einiger Zeit gelöscht.",
			close: "Absender sind leicht zu fälschen. Lassen Sie nur zustellen, was Sie erwarten.", null: "(leer)", layout: "02.01.2006 15:04 MST",
			class: map[quarantine.Class]string{quarantine.Spam: "sieht nach unerwünschter Werbung aus (Spam)", quarantine.Other: "durch eine Regel dieses Hauses zurückgehalten",
				quarantine.Unscanned: "konnte nicht auf Schadprogramme geprüft werden", quarantine.DMARC: "der Absender ist nicht der, der er zu sein vorgibt (DMARC)",
				quarantine.Impersonation: "gibt sich als jemand anderes aus", quarantine.Attachment: "ein Anhang, der nicht durchgelassen wird", quarantine.Malware: "Schadprogramm"}}
	}
	return &words{one: "1 message in quarantine", many: "%d messages in quarantine",
		intro: "These messages to %s were not delivered, since they are doubtful. Each is told of once.",
		date:  "Date", envelope: "From (envelope)", shown: "From (shown)", why: "Reason", reference: "Reference",
		release: "Deliver it", ask: "Ask your administrator, and give the reference.", more: "and %d more; your administrator can show them.",
		until: "The links can be used until %s, each of them once. What is not delivered is deleted after some time.",
		close: "A sender is easily forged. Have delivered only what you expect.", null: "(empty)", layout: "2006-01-02 15:04 MST",
		class: map[quarantine.Class]string{quarantine.Spam: "looks like unsolicited mail (spam)", quarantine.Other: "held back by a rule of this site",
			quarantine.Unscanned: "could not be scanned for malware", quarantine.DMARC: "its author is not who it says (DMARC)",
			quarantine.Impersonation: "looks like somebody it is not", quarantine.Attachment: "an attachment that is not let through", quarantine.Malware: "malware"}}
}
