"""How questions begin and end where no mark says so, in the languages of the chat; folded as `words.folded` does.

A rule is a line `first words | words that must follow | words that must not follow`; nothing in the middle means anything may follow,
but something must. The first words stand at the beginning of a clause. So `what` asks before `is` and not before `i` or `a`.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from conversations.logic.words import folded


class Opening(NamedTuple):
    """What must and must not follow a first word."""

    then: frozenset[str]
    never: frozenset[str]


_SUBJECTS = "i you he she it we they there this that these those anyone anybody someone somebody everyone everybody one u ya ppl people"
_OWNED = "the a an any my your his her its our their all"
_DU = "ich du er sie es wir ihr man jemand wer das der die dieser diese dieses ein eine"

_RULES = f"""
what wat | is are was were am do does did can could will would shall should may might must has have had isn't aren't
  doesn't don't happened happens happen makes made about if else kind sort type time color colour day year number language the
  causes exactly |
why | |
who whom | | i you we he she they
what's whats who's whos where's wheres when's whens how's hows | | he she
whose | | own
which | one of way side kind type thing would do does did are people number |
where | is are was were do does did can could will would shall should have has am to else |
when | is are was were do does did can could will would shall should have has am |
how | is are was were am do does did can could will would shall should may might must has have had to many much long often
  old far big tall fast come about deep high late else exactly |
is are was were isn't aren't wasn't weren't | {_SUBJECTS} {_OWNED} |
am | i |
do does did don't doesn't didn't | i you he she it we they anyone anybody someone somebody people any your u ya | worry
can could will would can't couldn't won't wouldn't | {_SUBJECTS} {_OWNED} |
should shouldn't shall | i we he she they it there this that these those the a people anyone someone |
may | i we |
have has haven't hasn't | you we they he she it i anyone anybody someone somebody u |
anyone anybody someone | know knows here else got have want able care tried seen remember |
any | idea ideas thoughts advice suggestions tips recommendations chance news clue |
wondering | if how why what when where who whether about |
explain describe define | | yourself
tell remind teach show | me us |

was wen wem | ist sind bist war waren hat hast haben habt macht machst machen kann kannst können soll sollen sollte muss musst will willst
  wird werden würde würdest geht gibt heißt bedeutet kommt weiß denkt denkst denken meint meinst hältst haltet findest passiert
  sagt sagst tut tust kostet meinen glaubst genau |
wer wessen | | ich wir
wo | ist sind bist war waren hat hast haben kann kannst können gibt wohnst wohnt lebt liegt finde findet bleibt steht genau |
wann | ist sind bist war hat hast kommt kommst kann kannst können gibt wird geht beginnt fängt fährt treffen sehen |
wie | ist sind bist war geht geht's gehts kann kannst können könnte soll macht machst heißt viel viele lange oft alt weit spät groß
  funktioniert kommt wäre findest findet fühlst läuft meinst schafft würdest spricht schreibt |
warum wieso weshalb woher wohin wozu womit worüber wovon woran wofür welche welcher welches welchen welchem inwiefern | | ja
ist hat kann gibt war wird geht stimmt soll darf weiß hatte könnte kennt | {_DU} hier da mir |
bist hast kannst könntest willst weißt magst möchtest denkst glaubst würdest musst darfst gehst kommst wirst warst kennst findest meinst |
  du ihr |
haben können könnten sind wissen würden möchten dürfen sollen müssen | sie wir |
sag sagt erzähl erzähle erkläre erklär erklärt | mir uns |

pourquoi combien lequel laquelle comment | | s'il
qu'est qu'est-ce est-ce | |
que | faire fais faites fait penses pensez veut veux voulez signifie dit dis pense devient se s'est sais savez |
qui | est sont a était peut veut sait va connaît pense vient |
où | est sont es êtes était va vas habites peut puis trouver se suis |
quand | est sont vas va est-ce était commence aura seront arrive |
quel quelle quels quelles | est sont était âge heure temps jour genre sorte film livre langue couleur différence |
quelqu'un | sait peut a connaît pourrait |
dis-moi dites-moi explique-moi expliquez-moi raconte-moi | |

qué | es son hace haces hay significa piensas opinas quieres tal pasa pasó hora tipo puedo debo sabes dices te crees está estás música |
quién quiénes cómo cuándo dónde cuál cuáles cuánto cuánta cuántos cuántas adónde | | me mola
que como donde quien cual cuando cuanto cuantos | es son esta estas está estás eres haces hace hay tal pasa significa piensas opinas puedo
  vas van va cuesta vive vives fue vai posso você faço faz funciona fica é são horas |
dime decidme dígame explícame explicame cuéntame | |
alguien | sabe puede tiene conoce quiere |
sabes puedes podrías podrias tienes quieres crees | |
quem qual quais quanto quantos quantas cadê onde | | me
o | que | me eu
será | que |
alguém | sabe pode tem conhece |
me | diga diz explica conta explique |
diga-me explique-me | |

cosa chi | è sei sono hai ha fai fa vuoi vuole pensi pensa significa succede ne posso puoi vuol dici sa può ti c'è era |
come | stai va state sta si mai funziona faccio posso fai ti è |
quando | è vai arriva arrivi ci inizia sei |
dove | è sei sono si posso vai hai abiti vive sta |
perché | non hai sei mai devo dovrei fai ti lo la il tutti |
quale quali quanti quante | |
qualcuno | sa può ha conosce potrebbe |
dimmi spiegami ditemi puoi potresti sai sapete | |

wat | is zijn doe doet vind vindt denk denken bedoel bedoelt betekent kost ga gaat moet kan wil heb hebben was voor gebeurt |
wie | is zijn weet heeft kan wil was ben gaat kent |
waar | is zijn kan ben woon woont komt ga gaat kom heb vind ligt |
wanneer | is zijn ga gaat kom komt kan begint was ben |
hoe | is gaat kan laat oud veel lang vaak doe werkt heet moet ver was zit kom komt weet |
waarom hoezo welke welk | |
ben heb kan kun wil weet ga zou zal moet mag denk vind doe bent hebt kunt heeft ken | je jij u jullie ik we wij iemand |
vertel leg | me mij ons eens uit |

co | to jest robi robisz myślisz sądzisz się znaczy oznacza słychać masz mam było będzie powiesz |
kto gdzie dlaczego czemu ile czy który która które skąd dokąd | |
kiedy | jest będzie są było masz idziesz przyjdziesz zaczyna |
jak | się to jest masz mogę można długo daleko często działa zrobić nazywa wygląda |
powiedz wyjaśnij opowiedz | mi nam |
ktoś | wie zna może ma |

что | такое это делать делаешь думаешь думаете значит ты вы за если случилось происходит нового лучше |
кто где почему зачем сколько куда откуда чей разве неужели | |
когда | будет будешь будете начнется начнётся придет придёт приедешь приедет уже |
как | дела ты вы это можно мне зовут же сделать работает думаешь насчет насчёт долго часто будет называется поживаешь |
какой какая какое какие | | ужас красота прелесть кошмар счастье жалость молодец
скажи скажите подскажи подскажите расскажи расскажите объясни объясните | |
можешь можете знаешь знаете | |
кто-нибудь | знает может видел |
kak | dela ty vy eto mozhno zovut |
chto | takoe eto delat delaesh znachit dumaesh |
gde kto pochemu zachem skolko podskazhite skazhi | |
"""


def _phrases(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(folded(phrase).split()) for phrase in text.split("|"))


PHRASES: Final = _phrases(
    """i wonder | i was wondering | i am wondering | i'm wondering | i am curious | i'm curious | curious what | curious how |
    i would like to know | i'd like to know | i'd love to know | i want to know | i need to know | help me understand |
    give me an example | what's up | how come | no idea why | ich frage mich | ich wüsste gern | ich würde gern wissen |
    ich möchte wissen | was für ein | kann mir jemand | je me demande | je voudrais savoir | j'aimerais savoir | c'est quoi |
    y a-t-il | à qui | de quoi | por qué | por que | para qué | me pregunto | me gustaría saber | quisiera saber | você sabe |
    você pode | vocês sabem | gostaria de saber | queria saber | che cosa | che ore | che tipo | mi chiedo | vorrei sapere |
    ik vraag me af | is er iemand | weet iemand | zastanawiam się | chciałbym wiedzieć | chciałabym wiedzieć | po co |
    интересно почему | интересно как | интересно что | мне интересно | хотелось бы знать | хочу узнать | kto-nibud znaet"""
)
"""Beginnings of more than two words, and requests that are no question in form."""

NEVER: Final = _phrases(
    """tell me about it | what the hell | what the heck | who cares | who knew |
    is the best | don't you dare | don't you worry | don't you ever | was für ein tag | c'est quoi ce | sag mir nichts | por que sí |
    so cosa | so che | so chi | so come | so dove | so quando | so perché"""
)
"""Beginnings that look like questions."""

TAGS: Final = _phrases(
    """right | isn't it |
    aren't you | don't you | doesn't it | wasn't it | won't you | can't you | innit | correct | eh | huh | oder | nicht wahr | gell |
    n'est-ce pas | verdad | no es así | né | não é | certo | vero | giusto | toch | hè | prawda | co nie | правда | так ведь | верно"""
)
"""What makes a question of a sentence that it ends, behind a comma."""


def _set(words: str) -> frozenset[str]:
    return frozenset(folded(words).split())


FILLERS: Final = _set("""hey hi hello yo so and but or well ok okay oh um uh hmm hm please also then btw lol haha wait anyway actually
    seriously honestly guys everyone all dear bitte und aber na ach hallo et mais alors bon bonjour salut dis y pero bueno oye hola entonces
    e mas então oi olá ma allora ciao scusa en maar nou hoi ale hej cześć ну а и но слушай привет так""")
"""Words before a question that do not belong to it."""

JOINS: Final = _set("""and but so or because then und aber oder et mais ou alors y pero o e mas ma en maar of ale lub и но а или""")
"""Words that a clause behind a comma may begin with and still ask."""


def _openings() -> Mapping[str, tuple[Opening, ...]]:
    found: dict[str, list[Opening]] = {}
    for rule in _RULES.replace("\n  ", " ").splitlines():
        if rule.strip():
            firsts, then, never = (_set(part) for part in [*rule.split("|"), ""][:3])
            for first in firsts:
                found.setdefault(first, []).append(Opening(then=then, never=never))
    return {first: tuple(rules) for first, rules in found.items()}


OPENINGS: Final = _openings()

AUXILIARIES: Final = _set(
    "is are was were do does did can could will would shall should have has had am isn't aren't don't doesn't didn't can't"
)
SUBJECTS: Final = _set("i you he she it we they there this that these those the your u someone anyone people everybody everyone")
"""What may stand behind an auxiliary in a question."""
