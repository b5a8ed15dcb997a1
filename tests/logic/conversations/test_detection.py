"""What asks, in many languages, and what only looks like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.logic.detection import question

ASKS = """
Really? | what？ | ماذا؟ | ¿Cómo estás | Τι κάνεις; | τι\u037e | ինչո՞ւ | huh‽ | (is that so?) | look at https://x.example/a, ok? | “Why?” | ????
What is time | what time is it | WHAT IS TIME | Ping, what is the meaning of life | hey everyone, how do I fix this | so what do you think
how are you | who wants pizza | which one is better | where is the station | when does it start | why though | is it raining | why
are you real | do you like cats | can anyone help me | could someone explain this | I wonder if bots dream | tell me a story
any ideas | nice, but why is it red | that is true, right | what kind of music do you like | what about you | hows life | whats up
anyone know a good book | explain quantum physics | please tell me more | @Ping tell me the truth | I'd like to know why | Don't you think so
I saw it. What is it. Nobody knows | “what is that thing”
Wie geht es dir | Was ist das | Warum ist der Himmel blau | Kannst du mir helfen | Weiß jemand wo das ist | Gibt es hier Katzen
Sag mir die Wahrheit | Ich frage mich ob das stimmt | Wer bist du
pourquoi le ciel est bleu | est-ce que tu dors | peux-tu m'aider | comment ça va | qui est là | dis-moi tout | quelle heure est-il
qué hora es | dónde está el baño | por qué no vienes | alguien sabe la respuesta | dime algo | como estas
o que é isso | onde fica a praia | quem é você | você sabe a resposta | será que chove | me explica isso
come stai | cosa fai | dove sei | qualcuno sa la risposta | dimmi tutto | chi è lui | che ore sono
hoe gaat het | wat is dat | waarom niet | kun je me helpen | weet iemand dit | ik vraag me af of dat klopt
co to jest | gdzie jesteś | czy to prawda | dlaczego tak jest | jak się masz | powiedz mi prawdę
что такое любовь | кто ты | почему небо синее | как дела | где ты живёшь | подскажите дорогу | kak dela | chto takoe lubov
你好吗 | 你是谁 | 为什么天是蓝的 | 请问现在几点 | 你呢 | 元気ですか | なぜ空は青い | 教えてください | これは何でしょうか | 뭐 하고 있나요 | 왜 그래
"""

DOES_NOT = """
I know what you mean | when I was young | what a beautiful day | how nice | What I like is cheese | who I am is nobody | tell me about it
https://x.example/?q=1 | see page.php?id=3 | www.x.example/?a | he told me what is right | she asked how it works | that is what it is
do the dishes | have a nice day | the place where I live | nobody knows why | may the force be with you | which is why I left
Hello there | I can do it | will power matters | what matters is love | x = y; z = 1 | this is why we sleep | right | no right turn
somewhat is not what | whatever is mine | The Whats are a band | area 51
wie schön | was ich meine ist klar | als ich jung war | ich weiß was du meinst | das ist gut | wo ich wohne ist es ruhig
quand j'étais jeune | je sais ce que tu veux | rendez-vous demain | quelle surprise
cuando era joven | qué bonito | sé lo que quieres | como siempre
quando eu era jovem | eu sei o que você quer | come sempre | so cosa vuoi dire | hoe mooi | ik weet wat je bedoelt
kiedy byłem mały | wiem co masz na myśli | когда я был молод | как красиво | я знаю что ты хочешь | что касается меня
我知道为什么 | 我很好 | 元気です | そうか | mañana será otro día
"""


def cases(block: str) -> list[str]:
    return [text.strip() for line in block.strip().split("\n") for text in line.split(" | ")]


@pytest.mark.parametrize("text", cases(ASKS))
def test_it_asks(text: str) -> None:
    assert question(text)


@pytest.mark.parametrize("text", cases(DOES_NOT))
def test_it_does_not_ask(text: str) -> None:
    assert question(text) == ""


def test_the_words_that_ask_are_told() -> None:
    assert question("really?") == "?"
    assert question("hey, what is that") == "what is"
    assert question("a nice day today, don't you think, right") == ", right"


def test_a_text_of_several_lines_asks_if_one_of_them_does() -> None:
    assert question("hello\nhow does it work\nthank you") == "how does"


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    assert isinstance(question(text), str)


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "what " * 20_000, "." * 100_000 + "x", "- " * 50_000, "\u0301" * 100_000, "a@" * 50_000, "\ud800" * 1000]
)
def test_long_and_broken_texts_are_read_as_well(text: str) -> None:
    assert question(text) == ""
