"""Names for flow runs that people can say and remember, such as `brave-otter`."""

from __future__ import annotations

import os

__all__ = ["ADJECTIVES", "ANIMALS", "random_slug"]

_ADJECTIVES = """
able acoustic agile amber ample ancient apricot ardent artful astute athletic auburn autumn
azure balmy bold bouncy brave breezy brief bright brisk bronze calm candid careful casual
celestial charming cheerful chestnut citrus classic clear clever cobalt copper coral cordial
cosmic courageous cozy crafty crimson crisp curious dapper daring dashing dazzling deft delicate
diligent discreet dreamy dulcet eager earnest easygoing elated elegant emerald eminent energetic
epic exact fair faithful famous fearless festive fiery fleet floral fluent fond frank free fresh
friendly frosty gallant generous gentle giddy gifted gilded glad gleaming golden graceful grand
grateful green handy happy hardy hasty hazel hearty heroic hidden honest hopeful humble icy
ideal indigo inventive ivory jade jaunty jolly jovial joyful jubilant keen kind lavender lawful
lean lively lofty loyal lucid lucky lunar magenta maroon mellow merry mighty mindful misty
modest mossy musical neat nifty nimble noble nocturnal oaken olive opal open orange orderly
patient peach pearly perky placid playful pleasant plucky poetic polished polite prime proud
prudent purple quaint quick quiet radiant rapid ready regal resolute restful robust rosy ruby
rustic sage sandy sapphire scarlet serene sharp shiny silent silver sincere smooth snowy solar
solid sparkling speedy spirited spry stable starry steady stellar stoic sturdy subtle sunny
supple swift tactful tall tame tawny teal thankful thrifty tidy tranquil trusty turquoise upbeat
valiant velvet vibrant violet vivid warm wild wily wise witty young zealous zesty
"""

_ANIMALS = """
aardvark adder albatross alligator alpaca ant anteater antelope armadillo badger barracuda bat
bear beaver bee beetle bison boar bobcat bonobo buffalo bullfrog bumblebee butterfly buzzard
camel canary capybara caribou carp cassowary cat caterpillar catfish chameleon cheetah chickadee
chinchilla chipmunk cicada civet clam cobra cockatoo cod condor cormorant cougar cow coyote crab
crane cricket crocodile crow cuckoo curlew deer dingo dodo dolphin donkey dormouse dove
dragonfly duck eagle echidna eel egret eland elephant elk emu ermine falcon ferret finch firefly
flamingo flounder fox frog gannet gazelle gecko gerbil gibbon giraffe gnu goat goldfinch goose
gorilla grasshopper grouse gull guppy haddock hamster hare harrier hawk hedgehog heron herring
hippo hornbill hornet horse hummingbird hyena ibex ibis iguana impala jackal jaguar jay
jellyfish kangaroo kestrel kingfisher kiwi koala kookaburra kudu ladybug lark lemming lemur
leopard limpet lion lizard llama lobster loon loris lynx macaw mackerel magpie mallard manatee
mandrill manta marlin marmot marten meerkat mink mole mongoose moose mosquito moth mouse mule
narwhal newt nightingale numbat ocelot octopus okapi opossum orca oriole oryx osprey ostrich
otter owl ox oyster panda pangolin panther parrot partridge peacock pelican penguin perch
pheasant pigeon pika platypus pony porcupine porpoise puffin puma python quail quokka rabbit
raccoon ram raven reindeer rhino robin rook salamander salmon sandpiper scorpion seahorse seal
serval shark sheep shrew shrimp skink skunk sloth snail snipe sparrow spider squid squirrel
starfish starling stingray stoat stork swallow swan swift tapir tarsier termite tern thrush
tiger toad tortoise toucan trout tuna turkey turtle viper vole vulture wallaby walrus warbler
wasp weasel whale wildcat wolf wolverine wombat woodpecker wren yak zebra
"""

ADJECTIVES: tuple[str, ...] = tuple(_ADJECTIVES.split())
ANIMALS: tuple[str, ...] = tuple(_ANIMALS.split())


def random_slug() -> str:
    """Return an adjective and an animal joined by a hyphen; names can come twice.

    `random.seed` has no influence on it, and processes forked from one parent get other names.
    """
    # The system's own randomness: a user's `random.seed(1)` must not give all runs one name.
    number = int.from_bytes(os.urandom(4), "big")
    return f"{ADJECTIVES[number % len(ADJECTIVES)]}-{ANIMALS[(number >> 16) % len(ANIMALS)]}"
