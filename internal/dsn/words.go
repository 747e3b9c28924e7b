package dsn

// words are the texts of a notice in one language. Each says what happened, in whose words, and what can be done.
type words struct {
	Subject string
	Lead    string // %s: when the message came
	Answer  string // before the words of the recipient's mail server
	Late    string // when no server answered in time
	Over    string // what follows; %s: the reference
}

const english = "en"

// languageOf returns the texts of a language; ok is false where there are none.
func languageOf(name string) (w words, ok bool) {
	switch name {
	case english:
		return words{"Your message was not delivered", "The message that you sent on %s could not be delivered to:",
			"The mail server of the recipient answered:", "The mail server of the recipient could not be reached for too long.",
			"It is not tried again. Whoever you ask for help will need this notice and its reference: %s"}, true
	case "de":
		return words{"Ihre Nachricht wurde nicht zugestellt", "Die Nachricht, die Sie am %s gesendet haben, konnte nicht zugestellt werden an:",
			"Der Mailserver des Empfängers antwortete:", "Der Mailserver des Empfängers war zu lange nicht erreichbar.",
			"Es wird nicht weiter versucht. Wer Ihnen helfen soll, braucht diese Mitteilung und ihre Kennung: %s"}, true
	case "fr":
		return words{"Votre message n'a pas été remis", "Le message que vous avez envoyé le %s n'a pas pu être remis à :",
			"Le serveur de messagerie du destinataire a répondu :", "Le serveur de messagerie du destinataire est resté trop longtemps injoignable.",
			"Aucune autre tentative n'aura lieu. Pour obtenir de l'aide, transmettez cet avis avec sa référence : %s"}, true
	case "es":
		return words{"Su mensaje no se ha entregado", "El mensaje que envió el %s no se pudo entregar a:",
			"El servidor de correo del destinatario respondió:", "No se pudo contactar con el servidor de correo del destinatario durante demasiado tiempo.",
			"No se intentará de nuevo. Si pide ayuda, adjunte este aviso con su referencia: %s"}, true
	case "it":
		return words{"Il Suo messaggio non è stato consegnato", "Il messaggio che ha inviato il %s non ha potuto essere consegnato a:",
			"Il server di posta del destinatario ha risposto:", "Il server di posta del destinatario è rimasto irraggiungibile troppo a lungo.",
			"Non verrà fatto alcun altro tentativo. Per ricevere aiuto, inoltri questo avviso con il suo riferimento: %s"}, true
	case "pt":
		return words{"A sua mensagem não foi entregue", "A mensagem que enviou em %s não pôde ser entregue a:",
			"O servidor de correio do destinatário respondeu:", "O servidor de correio do destinatário esteve inacessível durante demasiado tempo.",
			"Não haverá nova tentativa. Se pedir ajuda, envie este aviso com a sua referência: %s"}, true
	case "nl":
		return words{"Uw bericht is niet bezorgd", "Het bericht dat u op %s hebt verzonden, kon niet worden bezorgd bij:",
			"De mailserver van de ontvanger antwoordde:", "De mailserver van de ontvanger was te lang niet bereikbaar.",
			"Er wordt niet opnieuw geprobeerd. Wie u om hulp vraagt, heeft dit bericht en het kenmerk nodig: %s"}, true
	case "pl":
		return words{"Twoja wiadomość nie została dostarczona", "Wiadomość wysłana %s nie mogła zostać dostarczona do:",
			"Serwer pocztowy odbiorcy odpowiedział:", "Serwer pocztowy odbiorcy był zbyt długo nieosiągalny.",
			"Nie będzie kolejnych prób. Prosząc o pomoc, przekaż to powiadomienie wraz z jego numerem: %s"}, true
	}
	return words{}, false
}
