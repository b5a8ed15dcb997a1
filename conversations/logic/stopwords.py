"""Words that say nothing about what a text is about, of the languages that the chat is written in; folded as `words.folded` does."""

from typing import Final

_ENGLISH = """a about above after again against ain't all also am an and any are aren't as at be because been before being below between
both but by can can't cannot could couldn't did didn't do does doesn't doing don't down during each even ever every few for from further
get gets getting go goes going gonna got had hadn't has hasn't have haven't having he her here hers herself hey hi hello him himself his
how i i'd i'll i'm i've if in into is isn't it it's its itself just know let let's like lol made make makes many maybe me more most much
must my myself need no nor not now of off oh ok okay on once one only or other our ours out over own people please really right said same
say says see shall she should shouldn't so some something still such sure take tell than thank thanks that that's the their theirs them
themselves then there there's these they they're thing things think this those though through to too under until up us use very want was
wasn't way we well were weren't what what's when where which while who whom why will with won't would wouldn't yeah yes yet you you'd
you'll you're you've your yours yourself"""

_GERMAN = """aber alle allem allen aller alles als also am an auch auf aus bei bin bis bist da dabei damit dann das dass dein deine dem den
denn der des dich die dies diese dieser dieses dir doch du durch ein eine einem einen einer eines er es etwas euch euer eure für gegen
gibt hab habe haben hast hat hatte hatten hier hin ich ihm ihn ihnen ihr ihre im immer in ist ja jede jeder jetzt kann kannst kein keine
können könnte mal man mehr mein meine mich mir mit muss müssen nach nicht nichts noch nun nur ob oder ohne schon sehr sein seine sich sie
sind so soll sollte sondern sonst über um und uns unser unter vom von vor war waren warum was weil weiter wenn wer werde werden wie wieder
will wir wird wo wollen wurde zu zum zur zwar zwischen"""

_ROMANCE = """à ai alors après as au aucun aussi autre aux avait avant avec avez avoir avons c'est ça ce ceci cela ces cet cette chez comme
comment dans de des deux donc du elle elles en encore est et être eu eux fait faire fois font il ils j'ai je jamais la le les leur leurs
lui là ma mais me mes moi moins mon même ne nos notre nous on ont ou où par parce pas peu peut plus pour pourquoi qu quand que quel quelle
qui quoi rien s'il sa sans se sera ses si son sont sous sur ta te tes toi ton toujours tous tout toute toutes très tu un une vos votre vous
y était été al algo algunos ante antes así aunque bien cada casi como con contra cual cuando cómo del desde donde dos dónde el ella ellos
entre era eran eres es esa ese eso esta estaba estar este esto estos está están fue gracias ha había hace hacer han hasta hay he hola la
las les lo los más menos mi mientras mis mucho muy más nada ni no nos nosotros nunca o os otra otro otros para pero poco por porque pues
puede puedo que quien quién qué se sea ser si sido sin sobre solo son soy su sus sí también tan tanto te tener tengo ti tiene todo todos tu
tus un una uno unos usted va vamos ya yo ao aos aquela aquele até com como da das dele dela depois do dos ela elas ele eles em entre era
essa esse esta estava este estou está eu foi foram isso isto já lhe mais mas me mesmo meu minha muito na nas nem no nos nossa nosso não nós
num numa o obrigado os ou para pela pelo pode por porque quando que quem se sem ser seu seus só sua suas são também te tem tenho teu tinha
um uma você vocês vou é alla alle allo anche ancora avere aveva c'è che chi ci ciao come con così cosa cui da dal dalla dei del della delle
dello di dove e ed era essere fa fare gli grazie hai hanno ho i il in io la le lei li loro lui ma me mi mia mio molto nei nel nella no noi
non nostro o ogni per perché però più poi può quale quando quanto quella quelle quelli quello questa questi questo qui se sei senza si sia
siamo solo sono sopra sta stata stato su sua sue sui sul sulla suo tra tu tua tuo tutti tutto un una uno va vi voi"""

_DUTCH_POLISH = """aan al alles als altijd andere ben bij daar dan dat de deze die dit doch doen door dus een eens en er ge geen geweest haar
had heb hebben heeft hem het hier hij hoe hun iemand iets ik in is ja je jij jullie kan kon kunnen maar me meer men met mij mijn moet na
naar niet niets nog nu of om omdat onder ons ook op over reeds te tegen toch toen tot u uit uw van veel voor waar waarom want waren was wat
we wel werd wezen wie wij wil worden wordt zal ze zei zelf zich zij zijn zo zonder zou ale albo ani bardzo bez bo być był była było były
będzie chyba ci ciebie co czy dla do gdy gdzie go i ich ile im inny ja jak jako je jego jej jest jestem jeszcze jeśli już ją kiedy kto która
które który lub ma mam mi mnie może mu my na nad nam nas nic nich nie nigdy nim niż no o od on ona one oni ono oraz po pod ponieważ poza
przed przez przy się są ta tak także tam te tego tej ten teraz to tobie tu ty tych tylko tym u w was wiele więc wszystko wy z za zawsze ze
że żeby"""

_RUSSIAN = """а без более бы был была были было быть в вам вас ведь весь во вот все всё всегда всего всех вы где да даже для до его ее её
если есть еще ещё же за здесь и из или им их к как какой ко когда который кто куда ли либо мне много может мой моя мы на над надо наш не
него нее ней нет ни никогда них ничего но ну о об однако он она они оно от очень по под пока потому почему при про просто раз с сам себя
сейчас со так такой там тебя тем теперь то тогда того тоже только том тут ты у уже хотя хочу чего чем что чтобы чтоб эта эти это этот я
privet eto chto kak kto gde ya ty on ona my vy ne da net tak"""

STOPWORDS: Final = frozenset(word.partition("'")[0] for word in f"{_ENGLISH} {_GERMAN} {_ROMANCE} {_DUTCH_POLISH} {_RUSSIAN}".split()) - {
    "ai"
}
"""What stands before an apostrophe is one too; "ai" would be French, but is talked about."""
