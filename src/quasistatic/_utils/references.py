"""The bibliography: the keys that docstrings cite, and the papers that they stand for."""

__all__ = ["PAPERS", "Paper", "cite"]

from dataclasses import dataclass

from .naming import nearest


@dataclass(frozen=True)
class Paper:
    """A paper as one cites it."""

    key: str
    authors: str
    title: str
    venue: str
    year: int
    arxiv: str

    def text(self) -> str:
        """One line of plain text."""
        return f"{self.authors}. {self.title}. {self.venue}, {self.year}. arXiv:{self.arxiv}"

    def bibtex(self) -> str:
        """An entry for a BibTeX file."""
        fields = {
            "author": self.authors.replace(", ", " and "),
            "title": f"{{{self.title}}}",
            "booktitle": self.venue,
            "year": str(self.year),
            "eprint": self.arxiv,
            "archiveprefix": "arXiv",
        }
        body = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
        return f"@inproceedings{{{self.key},\n{body}}}"


PAPERS = {
    paper.key: paper
    for paper in (
        Paper(
            "SD15",
            "Jascha Sohl-Dickstein, Eric A. Weiss, Niru Maheswaranathan, Surya Ganguli",
            "Deep Unsupervised Learning using Nonequilibrium Thermodynamics",
            "ICML",
            2015,
            "1503.03585",
        ),
        Paper(
            "DDPM",
            "Jonathan Ho, Ajay Jain, Pieter Abbeel",
            "Denoising Diffusion Probabilistic Models",
            "NeurIPS",
            2020,
            "2006.11239",
        ),
        Paper(
            "IDDPM",
            "Alex Nichol, Prafulla Dhariwal",
            "Improved Denoising Diffusion Probabilistic Models",
            "ICML",
            2021,
            "2102.09672",
        ),
        Paper(
            "EDM22",
            "Tero Karras, Miika Aittala, Timo Aila, Samuli Laine",
            "Elucidating the Design Space of Diffusion-Based Generative Models",
            "NeurIPS",
            2022,
            "2206.00364",
        ),
        Paper(
            "DDIM",
            "Jiaming Song, Chenlin Meng, Stefano Ermon",
            "Denoising Diffusion Implicit Models",
            "ICLR",
            2021,
            "2010.02502",
        ),
        Paper(
            "VDM",
            "Diederik P. Kingma, Tim Salimans, Ben Poole, Jonathan Ho",
            "Variational Diffusion Models",
            "NeurIPS",
            2021,
            "2107.00630",
        ),
        Paper(
            "VSPU17",
            "Ashish Vaswani, Noam Shazeer, Niki Parmar, Jakob Uszkoreit, Llion Jones, "
            "Aidan N. Gomez, Łukasz Kaiser, Illia Polosukhin",
            "Attention Is All You Need",
            "NeurIPS",
            2017,
            "1706.03762",
        ),
        Paper(
            "KW14",
            "Diederik P. Kingma, Max Welling",
            "Auto-Encoding Variational Bayes",
            "ICLR",
            2014,
            "1312.6114",
        ),
        Paper(
            "RBLEO22",
            "Robin Rombach, Andreas Blattmann, Dominik Lorenz, Patrick Esser, Björn Ommer",
            "High-Resolution Image Synthesis with Latent Diffusion Models",
            "CVPR",
            2022,
            "2112.10752",
        ),
        Paper(
            "PX23",
            "William Peebles, Saining Xie",
            "Scalable Diffusion Models with Transformers",
            "ICCV",
            2023,
            "2212.09748",
        ),
        Paper(
            "SH22",
            "Tim Salimans, Jonathan Ho",
            "Progressive Distillation for Fast Sampling of Diffusion Models",
            "ICLR",
            2022,
            "2202.00512",
        ),
        Paper(
            "SKCK17",
            "Tim Salimans, Andrej Karpathy, Xi Chen, Diederik P. Kingma",
            "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and "
            "Other Modifications",
            "ICLR",
            2017,
            "1701.05517",
        ),
        Paper(
            "TDS",
            "Luhuan Wu, Brian L. Trippe, Christian A. Naesseth, David M. Blei, John P. Cunningham",
            "Practical and Asymptotically Exact Conditional Sampling in Diffusion Models",
            "NeurIPS",
            2023,
            "2306.17775",
        ),
        Paper(
            "GAN14",
            "Ian J. Goodfellow, Jean Pouget-Abadie, Mehdi Mirza, Bing Xu, David Warde-Farley, "
            "Sherjil Ozair, Aaron Courville, Yoshua Bengio",
            "Generative Adversarial Networks",
            "NeurIPS",
            2014,
            "1406.2661",
        ),
        Paper(
            "T16",
            "Lucas Theis, Aäron van den Oord, Matthias Bethge",
            "A note on the evaluation of generative models",
            "ICLR",
            2016,
            "1511.01844",
        ),
        Paper(
            "H17",
            "Martin Heusel, Hubert Ramsauer, Thomas Unterthiner, Bernhard Nessler, Sepp Hochreiter",
            "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
            "NeurIPS",
            2017,
            "1706.08500",
        ),
        Paper(
            "B18",
            "Mikołaj Bińkowski, Danica J. Sutherland, Michael Arbel, Arthur Gretton",
            "Demystifying MMD GANs",
            "ICLR",
            2018,
            "1801.01401",
        ),
        Paper(
            "SSDE21",
            "Yang Song, Jascha Sohl-Dickstein, Diederik P. Kingma, Abhishek Kumar, Stefano Ermon, "
            "Ben Poole",
            "Score-Based Generative Modeling through Stochastic Differential Equations",
            "ICLR",
            2021,
            "2011.13456",
        ),
        Paper(
            "BLZZ22",
            "Fan Bao, Chongxuan Li, Jun Zhu, Bo Zhang",
            "Analytic-DPM: an Analytic Estimate of the Optimal Reverse Variance in Diffusion "
            "Probabilistic Models",
            "ICLR",
            2022,
            "2201.06503",
        ),
    )
}


def cite(key: str) -> Paper:
    """The paper that `key` stands for.

    Raises:
        ValueError: if no paper has that key: the nearest ones are named.
    """
    if key not in PAPERS:
        raise ValueError(f"no paper has the key {key!r}: {nearest(key, PAPERS)}")
    return PAPERS[key]
